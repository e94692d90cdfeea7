// The one C++ exception that the binding module turns into Python's OpsError.
#ifndef EDGEDEPLOY_PYTHON_ERRORS_H_
#define EDGEDEPLOY_PYTHON_ERRORS_H_

#include <stdexcept>

namespace edgedeploy_python {

class OpsError : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace edgedeploy_python

#endif  // EDGEDEPLOY_PYTHON_ERRORS_H_
