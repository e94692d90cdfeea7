// The lock of an app's directory on the board, the working directory; `deploy/script_parts.py` does the same in shell.
#ifndef EDGEDEPLOY_RUNNER_BOARD_LOCK_H_
#define EDGEDEPLOY_RUNNER_BOARD_LOCK_H_

#include <string>
#include <vector>

namespace edgedeploy {

// Throws RunnerError(kLockLost) unless the lock is held with this token.
void check_lock(const std::string& token);

// Takes the lock, and puts `journal` beside its note; all of it is on the disk before the lock gets its name.
// Throws RunnerError(kFile) where somebody has it or it cannot be made; nothing is left then.
void take_lock(const std::string& token, const std::string& owner, const std::string& journal);

// Puts the journal that came with the lock in its place, on the disk.
void place_journal(const std::string& token);

// Removes the lock if it is held with this token; never throws.
void release_lock(const std::string& token) noexcept;

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_RUNNER_BOARD_LOCK_H_
