#include "exec/launch_environment.h"

#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace helm::exec {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

using Variables = std::map<std::string, std::string>;

Result<std::optional<LaunchEnvironment>> Read(const Variables& variables) {
  return ReadLaunchEnvironment([&](const char* name) {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  });
}

Variables Torchrun() {
  return {{"RANK", "3"},
          {"WORLD_SIZE", "4"},
          {"LOCAL_RANK", "1"},
          {"MASTER_ADDR", "node1"},
          {"MASTER_PORT", "29500"},
          {"TORCHELASTIC_USE_AGENT_STORE", "True"}};
}

// What Open MPI 4.1 and 5 set on rank 3 of 4, all on one machine.
Variables OpenMpi() {
  return {{"OMPI_COMM_WORLD_RANK", "3"},
          {"OMPI_COMM_WORLD_SIZE", "4"},
          {"OMPI_COMM_WORLD_LOCAL_RANK", "3"},
          {"OMPI_COMM_WORLD_LOCAL_SIZE", "4"},
          {"PMIX_RANK", "3"},
          {"PMIX_NAMESPACE", "1234567"}};
}

// What MPICH's mpiexec sets on rank 1 of 2.
Variables Pmi() { return {{"PMI_RANK", "1"}, {"PMI_SIZE", "2"}, {"MPI_LOCALRANKID", "1"}, {"MPI_LOCALNRANKS", "2"}}; }

// What srun sets on rank 5 of 8, the second of its machine.
Variables Slurm() {
  return {{"SLURM_PROCID", "5"},
          {"SLURM_NTASKS", "8"},
          {"SLURM_STEP_NUM_TASKS", "8"},
          {"SLURM_LOCALID", "1"},
          {"SLURM_JOB_NODELIST", "x[1-9]"},
          {"SLURM_JOB_ID", "77"},
          {"SLURM_STEP_ID", "0"},
          {"SLURM_STEP_NODELIST", "node[01-04,7]"}};
}

// The environment that `variables` describe, with `changes`; a change to "" unsets.
LaunchEnvironment Of(Variables variables, const Variables& changes = {}) {
  for (const auto& [name, value] : changes) variables[name] = value;
  std::erase_if(variables, [](const auto& entry) { return entry.second.empty(); });
  const auto read = Read(variables);
  EXPECT_TRUE(read.ok()) << read.status().message();
  EXPECT_TRUE(read.ok() && read->has_value());
  return read.ok() && read->has_value() ? **read : LaunchEnvironment();
}

std::string Error(Variables variables, const Variables& changes) {
  for (const auto& [name, value] : changes) variables[name] = value;
  std::erase_if(variables, [](const auto& entry) { return entry.second.empty(); });
  const auto read = Read(variables);
  EXPECT_FALSE(read.ok());
  return read.status().message();
}

TEST(LaunchEnvironment, NothingSetMeansNoLauncher) {
  const auto read = Read({{"MASTER_ADDR", "x"}});
  ASSERT_TRUE(read.ok());
  EXPECT_FALSE(read->has_value());
}

TEST(LaunchEnvironment, ReadsTorchrun) {
  const auto read = Read(Torchrun());
  ASSERT_TRUE(read.ok()) << read.status().message();
  ASSERT_TRUE(read->has_value());
  EXPECT_EQ((*read)->rank, 3);
  EXPECT_EQ((*read)->world_size, 4);
  EXPECT_EQ((*read)->local_rank, 1);
  EXPECT_EQ((*read)->host, "node1");
  EXPECT_EQ((*read)->port, 29500);
  EXPECT_TRUE((*read)->launcher_serves_store);
  EXPECT_EQ((*read)->launcher, Launcher::kTorchrun);
}

TEST(LaunchEnvironment, ReadsOpenMpi) {
  const LaunchEnvironment read = Of(OpenMpi());
  EXPECT_EQ(read.launcher, Launcher::kOpenMpi);
  EXPECT_EQ(read.rank, 3);
  EXPECT_EQ(read.world_size, 4);
  EXPECT_EQ(read.local_rank, 3);
  EXPECT_EQ(read.host, "127.0.0.1");  // all on this machine: nothing listens outside it
  EXPECT_FALSE(read.launcher_serves_store);
}

TEST(LaunchEnvironment, ReadsPmi) {
  const LaunchEnvironment read = Of(Pmi());
  EXPECT_EQ(read.launcher, Launcher::kPmi);
  EXPECT_EQ(read.rank, 1);
  EXPECT_EQ(read.world_size, 2);
  EXPECT_EQ(read.local_rank, 1);
  EXPECT_EQ(read.host, "127.0.0.1");
  EXPECT_EQ(read.port, 29500);  // nothing tells one job from another
}

TEST(LaunchEnvironment, ReadsSlurm) {
  const LaunchEnvironment read = Of(Slurm());
  EXPECT_EQ(read.launcher, Launcher::kSlurm);
  EXPECT_EQ(read.rank, 5);
  EXPECT_EQ(read.world_size, 8);
  EXPECT_EQ(read.local_rank, 1);
  EXPECT_EQ(read.host, "node01");  // the step's list, not the job's
  EXPECT_EQ(Of(Slurm(), {{"SLURM_STEP_NODELIST", ""}}).host, "x1");
  EXPECT_EQ(Of(Slurm(), {{"SLURM_STEP_NODELIST", "node7"}}).host, "127.0.0.1");  // one machine
  EXPECT_EQ(Of(Slurm(), {{"SLURM_STEP_NUM_TASKS", ""}}).world_size, 8);
}

TEST(LaunchEnvironment, OneSlurmTaskIsNoLauncher) {
  // salloc's shell is a step of one task in an allocation of eight; a batch script of one task has no step.
  for (const char* name : {"SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"}) {
    Variables variables{{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "8"}, {"SLURM_LOCALID", "0"}, {"PMIX_RANK", "0"}};
    variables[name] = "1";
    const auto read = Read(variables);
    ASSERT_TRUE(read.ok()) << read.status().message();
    EXPECT_FALSE(read->has_value());
  }
}

TEST(LaunchEnvironment, APersonMayChooseWhereTheRanksMeet) {
  for (const Variables& launcher : {OpenMpi(), Pmi(), Slurm()}) {
    const LaunchEnvironment read = Of(launcher, {{"MASTER_ADDR", "10.0.0.7"}, {"MASTER_PORT", "4321"}});
    EXPECT_EQ(read.host, "10.0.0.7");
    EXPECT_EQ(read.port, 4321);
  }
}

TEST(LaunchEnvironment, PortsFollowFromTheJob) {
  for (const auto& [launcher, name] :
       {std::pair(OpenMpi(), "PMIX_NAMESPACE"), std::pair(Slurm(), "SLURM_JOB_ID"), std::pair(Slurm(), "SLURM_STEP_ID")}) {
    const int port = Of(launcher).port;
    EXPECT_GE(port, 61440);
    EXPECT_LE(port, 65535);
    EXPECT_NE(Of(launcher, {{name, "3"}}).port, port) << name;
  }
  EXPECT_EQ(Of(Slurm(), {{"SLURM_PROCID", "0"}, {"SLURM_LOCALID", "0"}}).port, Of(Slurm()).port);
}

TEST(LaunchEnvironment, TheInnermostLauncherRules) {
  const auto with = [](Variables outer, const Variables& inner) {
    outer.insert(inner.begin(), inner.end());
    return Of(outer);
  };
  EXPECT_EQ(with(Slurm(), Torchrun()).launcher, Launcher::kTorchrun);  // srun starts one agent on each machine
  EXPECT_EQ(with(OpenMpi(), Torchrun()).rank, 3);
  EXPECT_EQ(with(Slurm(), OpenMpi()).launcher, Launcher::kOpenMpi);  // mpirun in an allocation
  EXPECT_EQ(with(Slurm(), Pmi()).launcher, Launcher::kPmi);
  // srun --mpi=pmi2: both say the same, and only Slurm knows the hosts.
  EXPECT_EQ(with(Slurm(), {{"PMI_RANK", "5"}, {"PMI_SIZE", "8"}}).host, "node01");
}

TEST(LaunchEnvironment, NamesContradictions) {
  EXPECT_EQ(Error(OpenMpi(), {{"PMIX_RANK", "2"}}),
            "error: environment variables PMIX_RANK ('2') and OMPI_COMM_WORLD_RANK ('3') contradict each other\n"
            "fix: start with mpirun; over several machines with -x MASTER_ADDR=HOST (where rank 0 is); or unset OMPI_COMM_WORLD_RANK and "
            "OMPI_COMM_WORLD_SIZE to let helm-exec spawn the ranks itself");
  EXPECT_THAT(Error(Slurm(), {{"PMIX_RANK", "0"}}), HasSubstr("PMIX_RANK ('0') and SLURM_PROCID ('5') contradict"));
  // Left over in a shell: every rank that mpirun starts would take itself for rank 0.
  const Variables left_over{{"RANK", "0"}, {"WORLD_SIZE", "1"}, {"MASTER_ADDR", "x"}, {"MASTER_PORT", "1"}};
  EXPECT_THAT(Error(OpenMpi(), left_over), AllOf(HasSubstr("RANK ('0') and OMPI_COMM_WORLD_RANK ('3') contradict"),
                                                 HasSubstr("WORLD_SIZE ('1') and OMPI_COMM_WORLD_SIZE ('4') contradict")));
  EXPECT_THAT(Error(Slurm(), {{"SLURM_PROCID", "8"}}), HasSubstr("SLURM_PROCID is '8'; allowed: 0 to 7"));
}

TEST(LaunchEnvironment, NamesWhatIsMissing) {
  for (const auto& [launcher, name] : {std::pair(OpenMpi(), "OMPI_COMM_WORLD_SIZE"), std::pair(OpenMpi(), "OMPI_COMM_WORLD_RANK"),
                                       std::pair(Pmi(), "PMI_SIZE"), std::pair(Slurm(), "SLURM_LOCALID")}) {
    EXPECT_THAT(Error(launcher, {{name, ""}}), HasSubstr(std::string("environment variable ") + name + " is not set"));
  }
  EXPECT_THAT(Error(Slurm(), {{"SLURM_STEP_NUM_TASKS", ""}, {"SLURM_NTASKS", ""}}), HasSubstr("SLURM_STEP_NUM_TASKS is not set"));
  EXPECT_THAT(Error(Slurm(), {{"SLURM_STEP_NODELIST", ""}, {"SLURM_JOB_NODELIST", ""}}), HasSubstr("SLURM_STEP_NODELIST is not set"));
  EXPECT_THAT(Error(Slurm(), {{"SLURM_STEP_NODELIST", "n[1-"}}), HasSubstr("SLURM_STEP_NODELIST: 'n[1-' is no list of nodes"));
  EXPECT_THAT(Error({{"PMIX_RANK", "0"}}, {}), HasSubstr("no variable says how many ranks there are"));
  // Ranks on several machines: nothing says on which rank 0 is.
  EXPECT_THAT(Error(OpenMpi(), {{"OMPI_COMM_WORLD_LOCAL_SIZE", "2"}}),
              HasSubstr("2 of 4 ranks are on this machine (OMPI_COMM_WORLD_LOCAL_SIZE), and MASTER_ADDR does not say where rank 0 is"));
  EXPECT_THAT(Error(Pmi(), {{"MPI_LOCALNRANKS", "1"}}), HasSubstr("MASTER_ADDR does not say"));
}

TEST(LaunchEnvironment, NamesTheVariableThatIsWrong) {
  for (const auto& [name, value, message] : std::vector<std::tuple<std::string, std::string, std::string>>{
           {"RANK", "4", "RANK is '4'; allowed: 0 to 3"},
           {"RANK", "x", "RANK is 'x'"},
           {"WORLD_SIZE", "0", "WORLD_SIZE is '0'; allowed: 1 to"},
           {"MASTER_PORT", "70000", "MASTER_PORT is '70000'; allowed: 1 to 65535"},
           {"MASTER_ADDR", "", "MASTER_ADDR is not set"}}) {
    auto variables = Torchrun();
    variables[name] = value;
    const auto read = Read(variables);
    ASSERT_FALSE(read.ok()) << name;
    EXPECT_EQ(read.status().code(), StatusCode::kInvalid);
    EXPECT_THAT(read.status().message(), HasSubstr(message));
  }
}

TEST(LaunchEnvironment, HalfAnEnvironmentIsAnError) {
  EXPECT_THAT(Read({{"RANK", "0"}}).status().message(), HasSubstr("WORLD_SIZE is not set"));
  EXPECT_THAT(Read({{"RANK", "0"}, {"WORLD_SIZE", "2"}}).status().message(), HasSubstr("MASTER_ADDR is not set"));
}

}  // namespace
}  // namespace helm::exec
