//! Tools: listed, switched, and asked about.

use std::time::Duration;

use prism_client::resources::DeploymentHandle;
use prism_server_core::{
    Settings,
    testkit::mcp::{McpForm, McpTool, ScriptedMcp},
};
use prism_tests::{ServerOptions, TestServer, scripted};
use prism_types::{
    AnswerApproval, ApprovalPolicy, ApprovalStatus, CreateDeployment, EventPayload, Features, McpServer,
    MessageReceipt, Patch, RunStatus, SecretRef, SendMessage, Tool, UpdateDeployment, UpdateTool,
};
use serde_json::json;

const PUBLISHED: [&str; 7] =
    ["shell", "read_file", "write_file", "edit_file", "web_search", "browser", "subagents"];

/// A server whose deployments find these MCP servers at `https://NAME.example/mcp`.
async fn with_servers(servers: &[(&str, &ScriptedMcp)]) -> TestServer {
    let origin = |url: String| url.trim_end_matches("/mcp").to_owned();
    let origins = servers.iter().map(|(name, mcp)| (format!("https://{name}.example"), origin(mcp.url())));
    TestServer::with(ServerOptions { development_origins: origins.collect(), ..Default::default() }).await
}

fn acme(name: &str) -> McpServer {
    McpServer::new(name, format!("https://{name}.example/mcp"))
}

async fn tool(deployment: &DeploymentHandle, name: &str) -> Tool {
    let listed = deployment.tools().list().await.unwrap().into_inner();
    listed.data.into_iter().find(|tool| tool.name == name).unwrap_or_else(|| panic!("{name} is listed"))
}

/// What a run told, until it waits or is over.
async fn told(
    deployment: &DeploymentHandle,
    send: impl AsyncFnOnce() -> MessageReceipt,
) -> Vec<EventPayload> {
    let mut events = deployment.events().stream().open().await.unwrap();
    let sent = send().await;
    let mut told = Vec::new();
    loop {
        let event = tokio::time::timeout(Duration::from_secs(20), events.next()).await.unwrap();
        let payload = event.unwrap().unwrap().payload;
        let is_end =
            matches!(&payload, EventPayload::RunStatus(changed) if changed.status != RunStatus::Running);
        assert_eq!(payload.run_id(), Some(&sent.run_id));
        told.push(payload);
        if is_end {
            return told;
        }
    }
}

async fn run(deployment: &DeploymentHandle) -> Vec<EventPayload> {
    told(deployment, async || {
        deployment.messages().send(SendMessage::new("go").new_thread()).await.unwrap().into_inner()
    })
    .await
}

fn result(told: &[EventPayload]) -> String {
    let results = told.iter().filter_map(|payload| match payload {
        EventPayload::ToolResult(result) => Some(result.result.get().to_owned()),
        _ => None,
    });
    results.collect()
}

fn status(told: &[EventPayload]) -> RunStatus {
    let Some(EventPayload::RunStatus(changed)) = told.last() else { panic!("{told:?}") };
    changed.status.clone()
}

#[tokio::test]
async fn built_in_tools_and_those_of_servers_are_listed_for_the_customer() {
    let tools = [McpTool::text("search", "x"), McpTool::text("drop", "x"), McpTool::text("hidden", "x")];
    let mcp = ScriptedMcp::start(McpForm::EventStream, tools).await.unwrap();
    let other = ScriptedMcp::start(McpForm::Json, [McpTool::text("search", "x")]).await.unwrap();
    let server = with_servers(&[("acme", &mcp), ("other", &other)]).await;
    let reference: SecretRef = "sec_acme".parse().unwrap();
    server
        .plane
        .admin()
        .set_secret(&server.account.tenant.id, &reference, &"hunter2-secret".into())
        .await
        .unwrap();
    let request = CreateDeployment::new("cus_7", "Agent", scripted("say Hi"))
        .mcp_servers([
            acme("acme").tools(["search", "drop"]).header("Authorization", "Bearer ${ACME}"),
            // Nothing is listed of one that cannot be reached, and the others are.
            McpServer::new("nowhere", "http://127.0.0.1:8080/mcp"),
            acme("other"),
        ])
        .secret("ACME", reference)
        .approvals(ApprovalPolicy::new(["acme/d*", "shell"]));
    let deployment = server.client().deployment(&server.deploy_request(request).await);
    let listed = deployment.tools().list().await.unwrap().into_inner();
    let names: Vec<_> = listed.data.iter().map(|tool| (tool.name.as_str(), tool.origin.as_str())).collect();
    let expected = PUBLISHED.map(|name| (name, "builtin"));
    assert_eq!(names[..7], expected);
    assert_eq!(names[7..], [("search", "acme"), ("drop", "acme"), ("search", "other")]);
    assert!(listed.data.iter().all(|tool| tool.enabled && tool.unavailable.is_none()), "{listed:?}");
    let asks: Vec<_> =
        listed.data.iter().filter(|tool| tool.needs_approval).map(|tool| &tool.name[..]).collect();
    assert_eq!(asks, ["shell", "drop"]);
    assert_eq!(listed.data[8].description.as_deref(), Some("The tool drop of a test."));
    let [error] = &listed.errors[..] else { panic!("{:?}", listed.errors) };
    assert_eq!(error.origin, "nowhere");
    assert!(error.message.contains("does not lead to a public address"), "{error:?}");
    // The servers were asked as an agent would ask them.
    let asked = mcp.requests();
    assert!(asked.iter().any(|request| request.json()["method"] == "tools/list"), "{asked:?}");
    for request in &asked {
        assert_eq!(request.header("x-prism-customer-id"), "cus_7");
        assert_eq!(request.header("authorization"), "Bearer hunter2-secret");
    }
}

#[tokio::test]
async fn a_tool_is_switched_off_and_on_from_the_next_run_on() {
    let server = TestServer::start().await;
    let deployment = server.client().deployment(&server.deploy(r#"tool shell {} => "done""#).await);
    assert_eq!(result(&run(&deployment).await), r#""done""#);
    for _ in 0..2 {
        let off = deployment.tools().update("shell", UpdateTool::new(false)).await.unwrap().into_inner();
        assert_eq!((off.name.as_str(), off.origin.as_str(), off.enabled), ("shell", "builtin", false));
    }
    assert!(!tool(&deployment, "shell").await.enabled);
    assert!(result(&run(&deployment).await).contains("switched off"));
    let on = deployment.tools().update("shell", UpdateTool::new(true)).origin("builtin").await.unwrap();
    assert!(on.enabled && tool(&deployment, "shell").await.enabled);
    assert_eq!(result(&run(&deployment).await), r#""done""#);
}

#[tokio::test]
async fn tools_of_servers_are_named_with_their_server_where_that_is_needed() {
    let tools = |names: &[&str]| names.iter().map(|name| McpTool::text(name, "x")).collect::<Vec<_>>();
    let one = ScriptedMcp::start(McpForm::Json, tools(&["search", "a/b c"])).await.unwrap();
    let two = ScriptedMcp::start(McpForm::Json, tools(&["search", "shell"])).await.unwrap();
    let server = with_servers(&[("one", &one), ("two", &two)]).await;
    let request =
        CreateDeployment::new("cus_1", "Agent", scripted("say Hi")).mcp_servers([acme("one"), acme("two")]);
    let id = server.deploy_request(request).await;
    let deployment = server.client().deployment(&id);
    let update = |name: &str| deployment.tools().update(name, UpdateTool::new(false));
    assert_eq!(update("a/b c").await.unwrap().origin, "one");
    let ambiguous = update("search").await.unwrap_err();
    assert_eq!(ambiguous.status(), Some(400), "{ambiguous}");
    assert!(
        ambiguous.to_string().contains("query.origin") && ambiguous.to_string().contains("one, two"),
        "{ambiguous}"
    );
    assert_eq!(update("search").origin("two").await.unwrap().origin, "two");
    // A built-in tool goes first.
    assert_eq!(update("shell").await.unwrap().origin, "builtin");
    for (name, origin, told) in [
        ("nothing", None, "Tool not found"),
        ("nothing", Some("builtin"), "Tool not found"),
        ("x", Some("three"), "MCP server not found"),
    ] {
        let mut call = update(name);
        if let Some(origin) = origin {
            call = call.origin(origin);
        }
        let missing = call.await.unwrap_err();
        assert_eq!((missing.status(), missing.to_string().contains(told)), (Some(404), true), "{missing}");
    }
    let listed = deployment.tools().list().await.unwrap().into_inner();
    let off: Vec<_> = listed.data.iter().filter(|tool| !tool.enabled).collect();
    let off: Vec<_> = off.iter().map(|tool| (tool.name.as_str(), tool.origin.as_str())).collect();
    assert_eq!(off, [("shell", "builtin"), ("a/b c", "one"), ("search", "two")]);
    // A server of the same name starts with all of its tools.
    deployment.mcp_servers().remove("two").await.unwrap();
    deployment.mcp_servers().add(acme("two")).await.unwrap();
    let listed = deployment.tools().list().await.unwrap().into_inner();
    assert!(listed.data.iter().filter(|tool| tool.origin == "two").all(|tool| tool.enabled));

    // Where a server does not say what it has, a name alone is not enough.
    deployment.mcp_servers().add(McpServer::new("nowhere", "http://127.0.0.1:1/mcp")).await.unwrap();
    let unknown = update("anything").await.unwrap_err();
    assert!(unknown.to_string().contains("nowhere did not say"), "{unknown}");
    let http = server.http();
    for (body, told) in
        [(json!({}), "$.enabled: is required"), (json!({"enabled": "no"}), "must be true or false")]
    {
        let answer = http.patch(&format!("/v1/deployments/{id}/tools/shell"), &body).await;
        assert!(answer.status == 400 && answer.message().contains(told), "{answer:?}");
    }
}

#[tokio::test]
async fn at_most_two_hundred_tools_are_switched_off() {
    let server = TestServer::start().await;
    let request = CreateDeployment::new("cus_1", "Agent", scripted("say Hi")).mcp_server(acme("acme"));
    let deployment = server.client().deployment(&server.deploy_request(request).await);
    let off = |name: String| async move {
        deployment.tools().update(&name, UpdateTool::new(false)).origin("acme").await
    };
    let off = &off;
    for number in 0..200 {
        off.clone()(format!("tool-{number}")).await.unwrap();
    }
    let refused = off.clone()("one-more".to_owned()).await.unwrap_err();
    assert_eq!(refused.status(), Some(400), "{refused}");
    assert!(refused.to_string().contains("at most 200 tools"), "{refused}");
}

const PUBLISHES: &str = r#"tool acme/publish_post {"title": "{{message}}"} => "published""#;

async fn publisher(server: &TestServer, policy: ApprovalPolicy) -> DeploymentHandle {
    let request = CreateDeployment::new("cus_1", "Agent", scripted(PUBLISHES)).approvals(policy);
    server.client().deployment(&server.deploy_request(request).await)
}

#[tokio::test]
async fn a_call_that_needs_approval_waits_and_is_done_or_not() {
    let server = TestServer::start().await;
    let deployment = publisher(&server, ApprovalPolicy::new(["*/publish_*"])).await;
    for (answer, status_of_approval, expected) in [
        (AnswerApproval::allow(), ApprovalStatus::Allowed, r#""published""#),
        (AnswerApproval::deny().reason("Not before May"), ApprovalStatus::Denied, "Not before May"),
    ] {
        let asked = run(&deployment).await;
        assert_eq!(status(&asked), RunStatus::WaitingOnHuman);
        assert_eq!(result(&asked), "", "nothing is done before the answer");
        let pending = deployment.approvals().list().pending(true).await.unwrap().into_inner().data;
        let [approval] = &pending[..] else { panic!("{pending:?}") };
        assert_eq!(approval.summary, r#"The agent wants to use acme/publish_post: {"title":"go"}"#);
        assert_eq!(approval.expires_at, None);
        let told = told(&deployment, async || {
            deployment.approvals().answer(&approval.approval_id, answer).await.unwrap();
            MessageReceipt::new(
                approval.run_id.clone(),
                approval.deployment_id.clone(),
                approval.thread_id.clone(),
                RunStatus::Running,
            )
        })
        .await;
        assert!(result(&told).contains(expected), "{told:?}");
        assert_eq!(status(&told), RunStatus::Completed);
        let kept = deployment.approvals().get(&approval.approval_id).await.unwrap();
        assert_eq!(kept.status, status_of_approval);
    }
}

#[tokio::test]
async fn a_policy_is_replaced_and_taken_back() {
    let server = TestServer::start().await;
    let deployment = publisher(&server, ApprovalPolicy::new(["shell"])).await;
    assert_eq!(status(&run(&deployment).await), RunStatus::Completed);
    let update = |policy: Patch<ApprovalPolicy>| deployment.update(UpdateDeployment::new().approvals(policy));
    update(Patch::Set(ApprovalPolicy::new(["acme/*"]))).await.unwrap();
    assert_eq!(status(&run(&deployment).await), RunStatus::WaitingOnHuman);
    // A change of something else keeps it.
    deployment.update(UpdateDeployment::new().name("Other")).await.unwrap();
    assert_eq!(status(&run(&deployment).await), RunStatus::WaitingOnHuman);
    update(Patch::Clear).await.unwrap();
    assert_eq!(status(&run(&deployment).await), RunStatus::Completed);
}

#[tokio::test]
async fn without_steering_nothing_waits_and_the_call_is_denied() {
    let server = TestServer::start().await;
    let request = CreateDeployment::new("cus_1", "Agent", scripted(PUBLISHES))
        .approvals(ApprovalPolicy::new(["*/*"]))
        .features(Features::default().steering(false));
    let deployment = server.client().deployment(&server.deploy_request(request).await);
    let told = run(&deployment).await;
    assert_eq!(status(&told), RunStatus::Completed);
    assert!(result(&told).contains("No human is available"), "{told:?}");
    assert!(deployment.approvals().list().await.unwrap().data.is_empty());
}

#[tokio::test]
async fn a_question_is_denied_when_the_time_of_its_deployment_is_over() {
    let mut settings = Settings::default();
    settings.sweep = Duration::from_millis(50);
    let server = TestServer::with(ServerOptions { settings, ..Default::default() }).await;
    let patient = publisher(&server, ApprovalPolicy::new(["acme/*"]).timeout_seconds(2_592_000_u32)).await;
    let hasty = publisher(&server, ApprovalPolicy::new(["acme/*"]).timeout_seconds(1_u32)).await;
    for deployment in [&patient, &hasty] {
        assert_eq!(status(&run(deployment).await), RunStatus::WaitingOnHuman);
    }
    let mut events = hasty.events().stream().open().await.unwrap();
    let [approval] = &hasty.approvals().list().await.unwrap().into_inner().data[..] else {
        panic!("one asked")
    };
    let waits = approval.expires_at.unwrap().as_millis() - approval.created_at.as_millis();
    assert_eq!(waits, 1000);
    let denied = async {
        while hasty.approvals().get(&approval.approval_id).await.unwrap().status == ApprovalStatus::Pending {
            events.next().await.unwrap().unwrap();
        }
        hasty.approvals().get(&approval.approval_id).await.unwrap().into_inner()
    };
    let denied = tokio::time::timeout(Duration::from_secs(20), denied).await.unwrap();
    assert_eq!(
        (denied.status, denied.answer.as_deref()),
        (ApprovalStatus::Denied, Some("Nobody answered in time."))
    );
    let [waiting] = &patient.approvals().list().await.unwrap().into_inner().data[..] else {
        panic!("one asked")
    };
    assert_eq!(waiting.status, ApprovalStatus::Pending);
}

#[tokio::test]
async fn policies_that_could_not_work_are_refused() {
    let server = TestServer::start().await;
    let body = |policy: serde_json::Value| {
        let mut body = prism_tests::scripted_body("say Hi");
        body["approvals"] = policy;
        body
    };
    let many = |number: usize| vec!["shell"; number];
    for policy in [
        json!({"tools": many(50), "timeout_seconds": 2_592_000}),
        json!({"tools": [format!("a/{}", "x".repeat(318))], "timeout_seconds": 1}),
        json!({}),
        json!(null),
    ] {
        let answer = server.http().post("/v1/deployments", &body(policy)).await;
        assert_eq!(answer.status, 201, "{answer:?}");
    }
    for (policy, told) in [
        (json!({"tools": many(51)}), "$.approvals.tools: must have at most 50 items"),
        (json!({"tools": [format!("a/{}", "x".repeat(319))]}), "$.approvals.tools[0]: must have 1 to 320"),
        (json!({"tools": ["shel"]}), "$.approvals.tools[0]: matches no built-in tool"),
        (
            json!({"timeout_seconds": 0}),
            "$.approvals.timeout_seconds: must be a whole number from 1 to 2592000",
        ),
        (json!({"timeout_seconds": 2_592_001}), "must be a whole number"),
        (json!({"timeout_secs": 5}), "$.approvals.timeout_secs: is not a known field; did you mean"),
        (json!(["shell"]), "$.approvals: must be an object"),
    ] {
        let answer = server.http().post("/v1/deployments", &body(policy)).await;
        assert_eq!(answer.status, 400, "{answer:?}");
        assert!(answer.message().contains(told), "{answer:?}");
    }
}
