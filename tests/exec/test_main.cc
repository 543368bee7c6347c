// The tests' executable is also the ranks' executable, as helm-exec is.
#include <gtest/gtest.h>

#include "exec/run.h"

int main(int argc, char** argv) {
  if (helm::exec::IsSpawnedRank()) return helm::exec::RunSpawnedRank();
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
