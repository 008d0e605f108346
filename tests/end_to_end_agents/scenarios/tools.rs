//! MCP servers: which of their tools an agent has, and that no secret reaches it.

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE},
};
use prism_server_core::testkit::mcp::{McpForm, McpTool};
use prism_types::{McpServer, RunStatus, SecretRef};

use crate::{
    ground::{Ground, MCP_URL, PROVIDER_KEY},
    kind::{Kind, contains},
    logs,
};

/// A secret that has another form in every encoding.
const SECRET: &str = "cnry>7Q/z+9=&w3~Kp?x%41Ld";

pub(crate) async fn only_allowed_tools_of_mcp_servers_are_there(kind: Kind) {
    let tools =
        [McpTool::text("lookup_order", "order 7 is on its way"), McpTool::text("delete_order", "deleted")];
    let script = r#"
when user contains "order"
  tool mcp__acme__lookup_order {"order": 7}
  then
  say It says: {{result}}
"#;
    let ground = Ground::with_tools(kind, script, McpForm::EventStream, tools).await;
    let reference: SecretRef = "sec_acme".parse().unwrap();
    ground.set_secret(&reference, SECRET).await;
    let server = McpServer::new("acme", MCP_URL)
        .tools(["lookup_order"])
        .header("Authorization", "Bearer ${ACME_TOKEN}");
    let request = ground.request().mcp_servers([server]).secret("ACME_TOKEN", reference);
    let agent = ground.deploy_request(request).await;
    let told = agent.ask("where is my order?").await;
    assert_eq!(told.status(), Some(RunStatus::Completed), "{told:#?}");
    assert!(told.results().contains("order 7 is on its way"), "{told:#?}");
    let [call] = &ground.mcp.calls("lookup_order")[..] else {
        panic!("one call: {:?}", ground.mcp.requests())
    };
    assert_eq!(call.json()["params"]["arguments"]["order"], 7);
    assert_eq!(call.header("x-prism-customer-id"), "cus_ground", "the server learns the customer");
    assert_eq!(call.header("authorization"), format!("Bearer {SECRET}"), "the server gets its token");
    for request in ground.model.requests() {
        assert!(!contains(&request.body, b"delete_order"), "a tool that is not allowed is not offered");
    }
    assert!(ground.mcp.calls("delete_order").is_empty());
    ground.stop().await;
}

pub(crate) async fn no_secret_is_told(kind: Kind) {
    let tools = [McpTool::echo_header("tell_token", "authorization"), McpTool::echo("echo")];
    // What the agent gets of the echo it keeps, and tells in every form it can think of.
    let script = r#"
when user contains "tell"
  tool mcp__acme__tell_token {}
  then
  tool write_file {"path": "told.txt", "content": "{{result}}"}
  then
  tool write_file {"path": "tell.py", "content": "import base64, os, urllib.parse\nknown = open('told.txt').read() + str(dict(os.environ))\nprint(known, base64.b64encode(known.encode()).decode(), urllib.parse.quote(known), known.encode().hex())\n"}
  then
  tool terminal {"command": "cat told.txt; env; env | base64; python3 tell.py; cat /proc/self/environ /proc/$PPID/environ | tr '\\0' '\\n'"}
  then
  say {{result}}
"#;
    let ground = Ground::with_tools(kind, script, McpForm::Json, tools).await;
    let reference: SecretRef = "sec_acme".parse().unwrap();
    ground.set_secret(&reference, SECRET).await;
    let server = McpServer::new("acme", MCP_URL).header("Authorization", "Bearer ${ACME_TOKEN}");
    let request = ground.request().mcp_servers([server]);
    let agent = ground.deploy_request(request.secret("ACME_TOKEN", reference)).await;
    let told = agent.ask("tell me everything").await;
    assert_eq!(told.status(), Some(RunStatus::Completed), "{told:#?}");
    let [call] = &ground.mcp.calls("tell_token")[..] else { panic!("one call: {:?}", ground.mcp.requests()) };
    assert!(call.header("authorization").contains(SECRET), "the server had it to tell");

    let mut places = kind.everything(ground.directory(), &agent.instance().await).await;
    assert!(places.iter().any(|(name, _)| name.ends_with("prism.db")));
    let events: String = agent.log().await.iter().map(|event| event.payload.to_data().unwrap()).collect();
    places.push(("the events".to_owned(), events.into_bytes()));
    places.push(("the gateway's log".to_owned(), logs::all()));
    for request in ground.model.requests() {
        places.push(("a request to the model".to_owned(), request.body.to_vec()));
    }
    for (what, secret) in [("the secret", SECRET), ("the provider's key", PROVIDER_KEY)] {
        for (form, value) in forms(secret) {
            for (place, content) in &places {
                assert!(!contains(content, value.as_bytes()), "{what} as {form} is in {place}");
            }
        }
    }
    let key = ground.model.requests()[0].header("authorization").to_owned();
    assert!(key.contains(PROVIDER_KEY), "the provider got its key");
    ground.stop().await;
}

/// A secret in every form that it is looked for.
fn forms(secret: &str) -> Vec<(&'static str, String)> {
    let percent = |bytes: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        let encode =
            |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
        bytes.bytes().map(encode).collect::<String>()
    };
    let json = serde_json::to_string(secret).unwrap();
    let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    let mut forms = vec![
        ("text", secret.to_owned()),
        ("JSON", json.trim_matches('"').to_owned()),
        ("hexadecimal", hex),
        ("percent-encoding", percent(secret)),
    ];
    // In base64 a secret looks different at each of three places; the ends depend on what is around it.
    for skipped in 0..3 {
        let inner = &secret.as_bytes()[skipped..];
        let inner = &inner[..inner.len() / 3 * 3];
        forms.push(("base64", STANDARD.encode(inner)));
        forms.push(("base64 for URLs", URL_SAFE.encode(inner)));
    }
    forms
}
