// What tells a counting emulator where an inference is.
#ifndef EDGEDEPLOY_RUNNER_MARK_H_
#define EDGEDEPLOY_RUNNER_MARK_H_

extern "C" {

// Stores a byte at `slot`, which lies in one array for all slots: csrc/plugin recognises the store by the instruction
// before it and knows the slot by its distance from the first one ever marked. Elsewhere it has no effect.
void edgedeploy_mark(unsigned char* slot);
}

#endif  // EDGEDEPLOY_RUNNER_MARK_H_
