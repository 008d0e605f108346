//! End-to-end tests with real agents: a real control plane on a real database, the real Hermes agent in a real
//! sandbox, and a scripted model.
//!
//! Each scenario is written once and run in each kind of sandbox. The tests named `hermes_process_...` need a
//! Python with the agent, named by `PRISM_HERMES_PYTHON`; those named `hermes_docker_...` need a Docker Engine with
//! the agent's image. They run when they are asked for, with `-- --ignored hermes_`, and fail where these are
//! missing.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

mod agent;
mod conformance;
mod ground;
mod kind;
mod logs;
mod scenarios;

use kind::Kind;

/// Two tests of each scenario.
macro_rules! in_each_sandbox {
    ($($scenario:path => $process:ident, $docker:ident;)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        #[ignore = "needs the Hermes agent: PRISM_HERMES_PYTHON"]
        async fn $process() {
            $scenario(Kind::Process).await;
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        #[ignore = "needs a Docker Engine with the image of the Hermes agent"]
        async fn $docker() {
            $scenario(Kind::Docker).await;
        }
    )*};
}

in_each_sandbox! {
    scenarios::conversations::an_agent_answers_and_uses_tools =>
        hermes_process_answers_and_uses_tools, hermes_docker_answers_and_uses_tools;
    conformance::an_agent_conforms_to_its_port =>
        hermes_process_conforms, hermes_docker_conforms;
    scenarios::conversations::an_agent_is_what_its_deployment_says =>
        hermes_process_is_what_it_should_be, hermes_docker_is_what_it_should_be;
    scenarios::conversations::a_change_reaches_the_agent =>
        hermes_process_is_changed, hermes_docker_is_changed;
    scenarios::conversations::threads_are_apart =>
        hermes_process_keeps_threads_apart, hermes_docker_keeps_threads_apart;
    scenarios::conversations::work_ends_without_credits =>
        hermes_process_ends_without_credits, hermes_docker_ends_without_credits;
    scenarios::approvals::a_human_allows_or_forbids =>
        hermes_process_asks_a_human, hermes_docker_asks_a_human;
    scenarios::approvals::a_question_outlives_the_gateway =>
        hermes_process_asks_across_a_restart, hermes_docker_asks_across_a_restart;
    scenarios::approvals::a_question_outlives_its_agent =>
        hermes_process_asks_again, hermes_docker_asks_again;
    scenarios::tools::only_allowed_tools_of_mcp_servers_are_there =>
        hermes_process_calls_allowed_mcp_tools, hermes_docker_calls_allowed_mcp_tools;
    scenarios::tools::no_secret_is_told =>
        hermes_process_tells_no_secret, hermes_docker_tells_no_secret;
    scenarios::live::skills_are_there_from_the_next_run_on =>
        hermes_process_gets_skills, hermes_docker_gets_skills;
    scenarios::live::servers_are_there_from_the_next_run_on =>
        hermes_process_gets_mcp_servers, hermes_docker_gets_mcp_servers;
    scenarios::policy::a_tool_that_is_switched_off_is_not_offered =>
        hermes_process_hides_tools, hermes_docker_hides_tools;
    scenarios::policy::what_needs_approval_waits_for_a_human =>
        hermes_process_waits_for_approval, hermes_docker_waits_for_approval;
    scenarios::policy::without_steering_what_needs_approval_is_refused_and_nothing_waits =>
        hermes_process_refuses_without_humans, hermes_docker_refuses_without_humans;
    scenarios::policy::the_gateway_refuses_what_nobody_approved =>
        hermes_process_cannot_go_around_approval, hermes_docker_cannot_go_around_approval;
    scenarios::policy::an_approval_outlives_the_gateway_and_the_agent =>
        hermes_process_waits_across_losses, hermes_docker_waits_across_losses;
    scenarios::steering::a_message_reaches_an_agent_at_work =>
        hermes_process_is_steered, hermes_docker_is_steered;
    scenarios::steering::a_cancelled_run_stops_the_agent =>
        hermes_process_is_cancelled, hermes_docker_is_cancelled;
    scenarios::memories::memories_go_both_ways =>
        hermes_process_shares_its_memories, hermes_docker_shares_its_memories;
    scenarios::memories::an_agent_dreams =>
        hermes_process_dreams, hermes_docker_dreams;
    scenarios::memories::a_deleted_thread_is_forgotten =>
        hermes_process_forgets_threads, hermes_docker_forgets_threads;
    scenarios::files::changes_are_told_once_whoever_made_them =>
        hermes_process_tells_changes_once, hermes_docker_tells_changes_once;
    scenarios::files::files_outlive_the_agent =>
        hermes_process_leaves_its_files, hermes_docker_leaves_its_files;
    scenarios::files::a_workspace_outlives_its_deployment =>
        hermes_process_passes_its_files_on, hermes_docker_passes_its_files_on;
    scenarios::losses::memory_outlives_the_agent =>
        hermes_process_remembers, hermes_docker_remembers;
    scenarios::losses::a_killed_agent_comes_back =>
        hermes_process_comes_back, hermes_docker_comes_back;
    scenarios::losses::work_that_kills_its_agent_ends =>
        hermes_process_gives_up, hermes_docker_gives_up;
    scenarios::losses::a_restart_tells_every_token_once =>
        hermes_process_streams_across_a_restart, hermes_docker_streams_across_a_restart;
    scenarios::losses::nothing_is_left_of_a_deleted_agent =>
        hermes_process_is_deleted, hermes_docker_is_deleted;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a Docker Engine with the image of the Hermes agent"]
async fn hermes_docker_cannot_look_outside() {
    scenarios::isolation::an_agent_cannot_look_outside().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a Docker Engine with the image of the Hermes agent"]
async fn hermes_docker_cannot_harm_its_neighbour() {
    scenarios::isolation::a_greedy_agent_harms_nobody_else().await;
}
