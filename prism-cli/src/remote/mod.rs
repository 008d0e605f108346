//! Commands that talk to a server over HTTP.

pub(crate) mod approvals;
pub(crate) mod audit;
pub(crate) mod automations;
pub(crate) mod deployments;
pub(crate) mod dreams;
pub(crate) mod events;
pub(crate) mod files;
pub(crate) mod mcp;
pub(crate) mod memories;
pub(crate) mod runs;
pub(crate) mod send;
pub(crate) mod skills;
pub(crate) mod snapshots;
pub(crate) mod threads;
pub(crate) mod tools;
mod transcript;
pub(crate) mod webhooks;

use std::io::Read;

use clap::Args;
use prism_client::{Client, Items};
use tokio::runtime;

use crate::{environment, failure::Failure, output};

const KEY_VARIABLE: &str = "PRISM_API_KEY";
/// Most items of a page.
const PAGE: u32 = 100;

/// Where the server is. The API key comes from PRISM_API_KEY only: arguments can be seen by others.
#[derive(Debug, Args)]
pub(crate) struct Server {
    /// The server's URL. The API key is taken from the environment variable PRISM_API_KEY.
    #[arg(long, value_name = "URL", env = "PRISM_BASE_URL", hide_env_values = true)]
    #[arg(default_value = "http://127.0.0.1:8080")]
    base_url: String,
}

impl Server {
    /// Does something with a client of the server.
    fn with<T>(&self, work: impl AsyncFnOnce(Client) -> Result<T, Failure>) -> Result<T, Failure> {
        let Some(key) = environment::variable(KEY_VARIABLE)? else {
            return Err(Failure::usage(format!("there is no API key: {KEY_VARIABLE} is not set"))
                .advice("`prism keys create --name NAME` on the server's machine makes one."));
        };
        let client = Client::builder().base_url(&self.base_url).api_key(key).build();
        let client = client.map_err(|error| Failure::usage(error.to_string()))?;
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(|error| Failure::new(error.to_string()))?.block_on(work(client))
    }
}

/// What an argument says; `-` is standard input.
fn text(argument: &str) -> Result<String, Failure> {
    if argument != "-" {
        return Ok(argument.to_owned());
    }
    let mut text = String::new();
    let read = std::io::stdin().lock().read_to_string(&mut text);
    read.map_err(|error| Failure::new(format!("standard input cannot be read: {error}")))?;
    Ok(text)
}

/// How much of a list to print.
#[derive(Debug, Args)]
struct Listing {
    /// Print at most so many, newest first.
    #[arg(long, value_name = "NUMBER", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

impl Listing {
    /// How many to ask for at once.
    fn page(&self) -> u32 {
        self.limit.min(PAGE)
    }

    /// Reads until there are enough items. Says so when there are more.
    async fn read<T: Send + Unpin + 'static>(&self, mut items: Items<T>) -> Result<Vec<T>, Failure> {
        let mut read = Vec::new();
        while let Some(item) = items.next().await.transpose()? {
            read.push(item);
            if read.len() >= self.limit as usize {
                if items.cursor().is_some() {
                    let more = self.limit.saturating_mul(10);
                    output::note(&format!("there are more; print them with --limit {more}"));
                }
                break;
            }
        }
        Ok(read)
    }
}
