#!/usr/bin/env bash
# Sends requests that are made from the OpenAPI documents to a real server, and holds what it answers against them: no server
# error, no status, type, header or body that is not documented. Needs `prism` to be built, curl, Python with venv, and
# PyPI. The event stream is left out, which does not end, and the upload of bundles, which cannot be made up.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

version=4.32.5
tool=target/tools/schemathesis-$version
if [[ ! -x $tool/bin/st ]]; then
    python3 -m venv "$tool"
    "$tool/bin/pip" install --quiet "schemathesis==$version"
fi

data=$(mktemp -d)
export PRISM_BOOTSTRAP_API_KEY=prism_schemathesis_0123456789
# They are looked into before the server has written anything.
touch "$data/out" "$data/log"
target/debug/prism serve --listen 127.0.0.1:0 --data-dir "$data" --sandboxes process --log warn \
    >"$data/out" 2>"$data/log" &
server=$!
trap 'kill "$server" 2>/dev/null; cat "$data/log"; rm -rf "$data"' EXIT
for _ in {1..100}; do
    url=$(sed -n 's/^prism listening on //p' "$data/out")
    [[ -n $url ]] && break
    sleep 0.1
done

# Things that exist, for operations that made-up ids do not reach: a run that waits, its question, an automation, a file; and
# a deployment of a program.
export HYPOTHESIS_STORAGE_DIRECTORY=$data/hypothesis PRISM_BASE_URL=$url PRISM_API_KEY=$PRISM_BOOTSTRAP_API_KEY
field() {
    python3 -c 'import json, sys; found = json.load(sys.stdin); print((found[0] if isinstance(found, list) else found)[sys.argv[1]])' "$1"
}
deployment=$(target/debug/prism deployments create -f examples/scripted-agent.json --wait --output json | field deployment_id)
run=$(target/debug/prism send "$deployment" Hello --output json | field run_id)
for _ in {1..100}; do
    asked=$(target/debug/prism approvals list "$deployment" --pending --output json)
    [[ $asked != '[]' ]] && break
    sleep 0.1
done
approval=$(field approval_id <<<"$asked")
automation=$(target/debug/prism automations create "$deployment" --name Digest --schedule @yearly --instructions "Sum up." \
    --output json | field automation_id)
target/debug/prism files put "$deployment" notes/a.txt README.md --output json >/dev/null
program=$(curl --silent --fail --header "Authorization: Bearer $PRISM_API_KEY" --header "Idempotency-Key: program" \
    --json '{"name": "program", "mode": "job"}' "$url/v1/agent-deployments" | field id)
for operation in "GET " "PATCH " "GET /versions" "POST /versions" "GET /runs" "POST /runs" "GET /services" "POST /services"; do
    printf '[[operations]]\ninclude-name = "%s /v1/agent-deployments/{deployment_id}%s"\n' "${operation% *}" "${operation#* }"
    printf '[operations.parameters]\ndeployment_id = "%s"\n' "$program"
done >"$data/programs.toml"
{
    for operation in "POST messages" "GET files" "POST automations" "GET automations/{automation_id}" \
        "PATCH automations/{automation_id}" "GET automations/{automation_id}/runs" \
        "POST automations/{automation_id}/trigger" "GET runs/{run_id}" "POST runs/{run_id}/cancel" "GET approvals/{approval_id}" \
        "POST approvals/{approval_id}"; do
        printf '[[operations]]\ninclude-name = "%s /v1/deployments/{deployment_id}/%s"\n' "${operation% *}" "${operation#* }"
        printf '[operations.parameters]\ndeployment_id = "%s"\n' "$deployment"
        [[ $operation == *run_id* ]] && printf 'run_id = "%s"\n' "$run"
        [[ $operation == *approval_id* ]] && printf 'approval_id = "%s"\n' "$approval"
        [[ $operation == *automation_id* ]] && printf 'automation_id = "%s"\n' "$automation"
    done
} >"$data/agents.toml"

# hold CONFIG DOCUMENT ARGUMENT...: the cases are the same in each run. What they leave, such as deployments, is gone with
# the data directory.
examples=${1:-25}
hold() {
    "$tool/bin/st" --no-color --config-file "$data/$1.toml" run "docs/schema/$2" --url "$url" \
        --header "Authorization: Bearer $PRISM_BOOTSTRAP_API_KEY" \
        --checks not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance,use_after_free \
        --max-examples "$examples" --seed 7 --generation-deterministic \
        --request-timeout 30 --continue-on-failure --suppress-health-check all "${@:3}"
}
hold agents openapi.json --exclude-operation-id stream_events
hold programs nullspace/openapi.json --exclude-operation-id upload_agent_bundle

# Sandboxes outlive the server.
sandboxes=$url/v1/sandboxes
for sandbox in $(curl --silent --fail --oauth2-bearer "$PRISM_API_KEY" "$sandboxes?fields=id" | grep -o 'sb_[0-9a-z]*'); do
    curl --silent --fail --oauth2-bearer "$PRISM_API_KEY" --request DELETE "$sandboxes/$sandbox" >/dev/null
done
for _ in {1..300}; do
    [[ -z $(find "$data/processes" -mindepth 1 -maxdepth 1 2>/dev/null) ]] && break
    sleep 0.1
done
