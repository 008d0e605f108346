//! A model that does what a script says, for real agents without a provider.
//!
//! ```text
//! cargo run --bin model -- [--listen ADDRESS] [SCRIPT_FILE]
//! ```
//!
//! The script's language is told in the documentation of `prism_server_core::testkit::model`. Without a file there
//! is a script that lets an agent use its terminal. The default address is 127.0.0.1 with a free port.

use std::{error::Error, net::SocketAddr};

use prism_server_core::testkit::model::ScriptedModel;

/// The script when there is no file.
const SCRIPT: &str = r#"
when user contains "run: " and offers terminal
  tool terminal {"command": "printf '%s\\n' \"I was told to\" && date > now.txt && ls"}
  then
  say Done. The terminal said: {{result}}

otherwise
  say You said: {{message}}
"#;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut script = SCRIPT.to_owned();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--listen" => listen = arguments.next().ok_or("--listen needs an address")?.parse()?,
            option if option.starts_with("--") => return Err(format!("unknown option {option}").into()),
            file => script = std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?,
        }
    }
    let model = ScriptedModel::start_at(listen, &script).await?;
    println!("model on {}", model.base_url());
    tokio::signal::ctrl_c().await?;
    Ok(())
}
