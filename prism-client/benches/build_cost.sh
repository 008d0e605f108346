#!/usr/bin/env bash
# What a program that reads one list costs to build: with prism-client, with reqwest alone, and with async-openai,
# the client of another service with the same parts. Prints a Markdown table.
#
#     bash prism-client/benches/build_cost.sh             # all three
#     bash prism-client/benches/build_cost.sh prism bare  # some
#
# Every program is built from nothing, in the dev and in the release profile. "CPU" is the user and system time of
# cargo and all that it starts, which other work on the machine disturbs less than the time on the clock. It takes
# some minutes of all cores and needs cargo's registry.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

root=$PWD
place=${CARGO_TARGET_DIR:-$root/target}/build-cost
unset CARGO_TARGET_DIR
rm -rf "$place"
mkdir -p "$place"

# program NAME DEPENDENCIES BODY: a crate whose main function does BODY and may fail.
program() {
    mkdir -p "$place/$1/src"
    cat >"$place/$1/Cargo.toml" <<TOML
[package]
name = "$1"
version = "0.0.0"
edition = "2024"

[workspace]

[dependencies]
tokio = { version = "1", features = ["rt"] }
$2

[profile.release]
strip = true
TOML
    cat >"$place/$1/src/main.rs" <<RUST
fn main() -> Result<(), Box<dyn std::error::Error>> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        $3
        Ok(())
    })
}
RUST
    # The same versions for all, as far as they share dependencies.
    cp "$root/Cargo.lock" "$place/$1/Cargo.lock"
    (cd "$place/$1" && cargo fetch --quiet)
}

# cpu_seconds NAME PROFILE: builds it from nothing.
cpu_seconds() {
    local TIMEFORMAT='%U %S' times
    rm -rf "$place/$1/target"
    times=$( (cd "$place/$1" && time cargo build --quiet --offline --profile "$2" 2>"$place/$1/log") 2>&1) || {
        cat "$place/$1/log" >&2
        return 1
    }
    awk '{ printf "%.0f", $1 + $2 }' <<<"$times"
}

declare -A titles=(
    [prism]="prism-client"
    [bare]="reqwest with rustls and JSON"
    [openai]="async-openai, responses and models"
)

row() {
    local name=$1 packages dev release size
    packages=$(cd "$place/$name" && cargo tree --quiet --offline --edges normal --prefix none --no-dedupe --format '{p}' | sort -u | wc -l)
    dev=$(cpu_seconds "$name" dev)
    release=$(cpu_seconds "$name" release)
    size=$(stat -c %s "$place/$name/target/release/$name" | awk '{ printf "%.1f", $1 / 1e6 }')
    echo "| ${titles[$name]} | $packages | $dev s | $release s | $size MB |"
    rm -rf "$place/$name/target"
}

program prism "prism-client = { path = \"$root/prism-client\", default-features = false, features = [\"rustls\"] }" '
        let client = prism_client::Client::builder().base_url("http://127.0.0.1:8080").api_key("key").build()?;
        println!("{:?}", client.deployments().list().await?);'
program bare 'reqwest = { version = "0.13", default-features = false, features = ["rustls", "json"] }
serde_json = "1"' '
        let request = reqwest::Client::new().get("http://127.0.0.1:8080/v1/deployments").bearer_auth("key");
        println!("{:?}", request.send().await?.error_for_status()?.json::<serde_json::Value>().await?);'
program openai 'async-openai = { version = "0.43", features = ["responses", "model"] }' '
        println!("{:?}", async_openai::Client::new().models().list().await?);'

echo "| program | packages | CPU, dev | CPU, release | release binary, stripped |"
echo "|---|--:|--:|--:|--:|"
[[ $# -gt 0 ]] || set -- prism bare openai
for name in "$@"; do
    row "$name"
done
