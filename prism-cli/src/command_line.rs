//! The command line: what there is to say, and who does it.

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::{admin, doctor, failure::Failure, remote, runtime, serve};

/// Serve, administer and use the Prism agent platform: one agent for each customer.
///
/// `serve` runs a server. `doctor` says what agents can run on this machine, and `runtime` installs what they run
/// on. `tenants`, `keys` and `secrets` work on the server's data directory, also while it runs. All
/// other commands talk to a server over HTTP: they take its URL from PRISM_BASE_URL and the API key from
/// PRISM_API_KEY.
#[derive(Debug, Parser)]
#[command(name = "prism", version, propagate_version = true, after_help = AFTER_HELP)]
#[command(subcommand_required = true, arg_required_else_help = true)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
Exit codes:
  0  done
  1  failed; standard error says why and what to do
  2  the command line, the environment or the configuration is wrong

An environment variable that is empty counts as not set.";

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Arguments),
    Doctor(doctor::Arguments),
    Runtime(runtime::Arguments),
    Tenants(admin::tenants::Arguments),
    Keys(admin::keys::Arguments),
    Secrets(admin::secrets::Arguments),
    Deployments(remote::deployments::Arguments),
    Send(remote::send::Arguments),
    Events(remote::events::Arguments),
    Threads(remote::threads::Arguments),
    Runs(remote::runs::Arguments),
    Approvals(remote::approvals::Arguments),
    Memories(remote::memories::Arguments),
    Snapshots(remote::snapshots::Arguments),
    Dreams(remote::dreams::Arguments),
    Automations(remote::automations::Arguments),
    Files(remote::files::Arguments),
    Skills(remote::skills::Arguments),
    Audit(remote::audit::Arguments),
    Webhooks(remote::webhooks::Arguments),
    Tools(remote::tools::Arguments),
    Mcp(remote::mcp::Arguments),
}

/// Reads the command line, does what it says, and tells how it went.
pub(crate) fn main() -> ExitCode {
    let matches = command().get_matches();
    let done = CommandLine::from_arg_matches(&matches)
        .map_err(|error| Failure::usage(error.to_string()))
        .and_then(|line| run(line.command));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Serve(arguments) => serve::run(arguments),
        Command::Doctor(arguments) => doctor::run(arguments),
        Command::Runtime(arguments) => runtime::run(arguments),
        Command::Tenants(arguments) => admin::tenants::run(arguments),
        Command::Keys(arguments) => admin::keys::run(arguments),
        Command::Secrets(arguments) => admin::secrets::run(arguments),
        Command::Deployments(arguments) => remote::deployments::run(arguments),
        Command::Send(arguments) => remote::send::run(arguments),
        Command::Events(arguments) => remote::events::run(arguments),
        Command::Threads(arguments) => remote::threads::run(arguments),
        Command::Runs(arguments) => remote::runs::run(arguments),
        Command::Approvals(arguments) => remote::approvals::run(arguments),
        Command::Memories(arguments) => remote::memories::run(arguments),
        Command::Snapshots(arguments) => remote::snapshots::run(arguments),
        Command::Dreams(arguments) => remote::dreams::run(arguments),
        Command::Automations(arguments) => remote::automations::run(arguments),
        Command::Files(arguments) => remote::files::run(arguments),
        Command::Skills(arguments) => remote::skills::run(arguments),
        Command::Audit(arguments) => remote::audit::run(arguments),
        Command::Webhooks(arguments) => remote::webhooks::run(arguments),
        Command::Tools(arguments) => remote::tools::run(arguments),
        Command::Mcp(arguments) => remote::mcp::run(arguments),
    }
}

fn command() -> clap::Command {
    without_empty_variables(CommandLine::command())
}

/// Deployment tools often set every variable there is and leave those without a value empty.
fn without_empty_variables(command: clap::Command) -> clap::Command {
    command
        .mut_args(|argument| {
            let empty =
                argument.get_env().is_some_and(|name| std::env::var_os(name).is_some_and(|v| v.is_empty()));
            if empty { argument.env(None) } else { argument }
        })
        .mut_subcommands(without_empty_variables)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn every_command_and_argument_has_a_help_text() {
        fn check(command: &clap::Command, path: &str) {
            assert!(command.get_about().is_some(), "{path} has no help text");
            for argument in command.get_arguments() {
                assert!(argument.get_help().is_some(), "{path} {} has no help text", argument.get_id());
            }
            for subcommand in command.get_subcommands() {
                check(subcommand, &format!("{path} {}", subcommand.get_name()));
            }
        }
        check(&command(), "prism");
    }

    #[test]
    fn no_help_shows_the_value_of_a_variable() {
        fn check(command: &clap::Command) {
            for argument in command.get_arguments().filter(|argument| argument.get_env().is_some()) {
                assert!(argument.is_hide_env_values_set(), "{}", argument.get_id());
            }
            command.get_subcommands().for_each(check);
        }
        check(&command());
    }
}
