# Recipes of the workspace; `just` lists them. `just ci` is all that a change has to pass.

_list:
    @just --list --unsorted

# Format, lints, and what may be in the dependency graph.
check:
    cargo fmt --all --check
    cargo clippy --workspace --exclude prism-client --all-targets --all-features -- -D warnings
    cargo clippy -p prism-client --all-targets --features blocking,mock,nullspace,webhooks -- -D warnings
    cargo deny check --hide-inclusion-graph bans licenses sources

# Crates without their default features.
features:
    cargo check -p prism-server-core --no-default-features
    bash .ci/crates powerset

# What has to hold of the crates that are compiled into programs of others.
crates:
    bash .ci/crates budget powerset public_api semver oldest_rust oldest_dependencies wasm

# All tests.
test:
    cargo test --workspace

# The tests with containers and real agents; PRISM_HERMES_PYTHON names a Python with the agent.
test-agents:
    cargo test --workspace --lib --tests -- --ignored docker_ hermes_ stock_

# The reference of the crates, in target/doc.
docs:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --exclude prism-client --no-deps --all-features
    RUSTDOCFLAGS="-D warnings" cargo doc -p prism-client --no-deps --features blocking,mock,nullspace,webhooks

# Writes the golden files of docs/schema anew.
schemas:
    cargo run --bin schemas

# Writes the public interface of the crates for clients anew.
public-api:
    cargo run --bin public-api

# A first conversation, from nothing to an answer, in one process.
quickstart:
    cargo run --bin quickstart

# The images of the Hermes agent and of commands, in the engine that docker talks to.
image:
    bash images/hermes/build.sh
    bash images/base/build.sh

# The load program, optimised.
load:
    cargo run --release -p prism-tests --bin load

# What the client costs.
bench:
    cargo bench -p prism-client --bench client

# Everything, as the merge check runs it.
ci:
    bash .ci/run
