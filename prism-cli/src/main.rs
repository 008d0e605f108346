//! The `prism` command: serve, administer and use the Prism agent platform.

mod admin;
mod command_line;
mod config;
mod data_dir;
mod doctor;
mod environment;
mod failure;
mod output;
mod remote;
mod runtime;
mod serve;

fn main() -> std::process::ExitCode {
    command_line::main()
}
