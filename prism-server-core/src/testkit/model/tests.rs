use serde_json::json;

use super::*;

const SCRIPT: &str = r#"
when user contains "weather"
  say Let me look.
  tool terminal {"command": "echo {{message}}"}
  tool clock {}
  then
  say Done: {{result}}
when user contains "twice" and once
  error 503 Busy with {{message}}.
when user contains "cut"
  say One two
  hang up
when tool result contains "error"
  say It failed.
when user contains "wait"
  token a
  wait gate
  token b
when user contains "nothing" and call 2
  usage 7 8
  token x
otherwise
  repeat 2 token "ü "
"#;

async fn model() -> ScriptedModel {
    ScriptedModel::start(SCRIPT).await.unwrap()
}

async fn post(model: &ScriptedModel, body: Value) -> reqwest::Response {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client.post(format!("{}/chat/completions", model.base_url()));
    request.header("x-test", "yes").body(body.to_string()).send().await.unwrap()
}

async fn ask(model: &ScriptedModel, messages: Value) -> Value {
    let answer = post(model, json!({"model": "m", "messages": messages})).await;
    serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
}

fn user(text: &str) -> Value {
    json!([{"role": "user", "content": text}])
}

/// The chunks of a stream, without the ends of their lines.
async fn chunks(answer: reqwest::Response) -> Vec<String> {
    let text = answer.text().await.unwrap();
    text.split_terminator("\n\n").map(|line| line.strip_prefix("data: ").unwrap().to_owned()).collect()
}

#[tokio::test]
async fn an_answer_has_the_form_of_openai() {
    let model = model().await;
    let answer = ask(&model, user("the weather")).await;
    let call = |id: &str, name: &str, arguments: &str| json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}});
    let message = json!({
        "role": "assistant", "content": "Let me look.", "refusal": null,
        "tool_calls": [
            call("call_1_1", "terminal", r#"{"command":"echo the weather"}"#), call("call_1_2", "clock", "{}"),
        ],
    });
    assert_eq!(
        answer,
        json!({
            "id": "chatcmpl-1", "object": "chat.completion", "created": 1_750_000_000, "model": "m",
            "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": "tool_calls"}],
            "usage": {"prompt_tokens": 17, "completion_tokens": 5, "total_tokens": 22},
        })
    );
}

#[tokio::test]
async fn a_streamed_answer_has_the_form_of_openai() {
    let model = model().await;
    let options = json!({"include_usage": true});
    let body =
        json!({"model": "m", "messages": user("the weather"), "stream": true, "stream_options": options});
    let answer = post(&model, body).await;
    assert_eq!(answer.headers()["content-type"], "text/event-stream; charset=utf-8");
    let mut chunks = chunks(answer).await;
    assert_eq!(chunks.pop().unwrap(), "[DONE]");
    let chunks: Vec<Value> = chunks.iter().map(|chunk| serde_json::from_str(chunk).unwrap()).collect();
    assert!(chunks.iter().all(|c| c["object"] == "chat.completion.chunk" && c["id"] == "chatcmpl-1"));
    let (usage, chunks) = chunks.split_last().unwrap();
    assert_eq!(usage["choices"], json!([]));
    assert_eq!(usage["usage"]["completion_tokens"], 5);
    assert!(chunks.iter().all(|chunk| chunk["usage"].is_null()));
    let deltas: Vec<&Value> = chunks.iter().map(|chunk| &chunk["choices"][0]["delta"]).collect();
    assert_eq!(deltas[0]["role"], "assistant");
    let words: String = deltas.iter().filter_map(|delta| delta["content"].as_str()).collect();
    assert_eq!((words.as_str(), deltas[1]["content"].as_str()), ("Let me look.", Some("Let ")));
    let calls: Vec<&Value> =
        deltas.iter().flat_map(|delta| delta["tool_calls"].as_array()).flatten().collect();
    assert_eq!(calls[0]["function"], json!({"name": "terminal", "arguments": ""}));
    let first = calls.iter().filter(|call| call["index"] == 0);
    let arguments: String = first.filter_map(|call| call["function"]["arguments"].as_str()).collect();
    assert_eq!(arguments, r#"{"command":"echo the weather"}"#);
    assert_eq!(calls[3]["index"], 1);
    assert_eq!(chunks.last().unwrap()["choices"][0]["finish_reason"], "tool_calls");
}

#[tokio::test]
async fn usage_is_streamed_only_when_asked_for() {
    let model = model().await;
    let body = json!({"messages": user("hello"), "stream": true});
    let chunks = chunks(post(&model, body).await).await;
    assert_eq!(chunks.len(), 5);
    assert!(chunks.iter().all(|chunk| !chunk.contains("usage")));
}

#[tokio::test]
async fn answers_go_by_step_and_the_rules_below_are_for_the_rest() {
    let model = model().await;
    let mut messages = user("weather");
    let add = |messages: &mut Value, role: &str, content: &str| {
        messages.as_array_mut().unwrap().push(json!({"role": role, "content": content}));
    };
    let text = |answer: &Value| answer["choices"][0]["message"]["content"].as_str().unwrap().to_owned();
    add(&mut messages, "assistant", "");
    add(&mut messages, "tool", "an error");
    assert_eq!(text(&ask(&model, messages.clone()).await), "Done: an error");
    add(&mut messages, "assistant", "");
    add(&mut messages, "tool", "an error");
    assert_eq!(text(&ask(&model, messages.clone()).await), "It failed.");
    add(&mut messages, "assistant", "");
    assert_eq!(text(&ask(&model, messages.clone()).await), "ü ü ");
    add(&mut messages, "user", "weather");
    assert_eq!(text(&ask(&model, messages.clone()).await), "Let me look.");
}

#[tokio::test]
async fn a_rule_can_answer_once_and_errors_have_their_status() {
    let model = model().await;
    let answer = post(&model, json!({"messages": user("twice")})).await;
    assert_eq!(answer.status(), 503);
    let body: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    assert_eq!(body["error"]["message"], "Busy with twice.");
    assert_eq!(post(&model, json!({"messages": user("twice")})).await.status(), 200);
}

#[tokio::test]
async fn a_script_can_hang_up_in_the_middle() {
    let model = model().await;
    for stream in [true, false] {
        let mut answer = post(&model, json!({"messages": user("cut"), "stream": stream})).await;
        let mut text = Vec::new();
        let error = loop {
            match answer.chunk().await {
                Ok(Some(chunk)) => text.extend(chunk),
                Ok(None) => panic!("the answer ended well"),
                Err(error) => break error,
            }
        };
        assert!(error.is_body() || error.is_decode(), "{error:?}");
        assert_eq!(String::from_utf8(text).unwrap().contains("two"), stream);
    }
}

#[tokio::test]
async fn a_test_can_let_an_answer_go_on() {
    let model = model().await;
    let mut answer = post(&model, json!({"messages": user("wait"), "stream": true})).await;
    let mut text = String::new();
    while !text.contains(r#""a""#) {
        text += std::str::from_utf8(&answer.chunk().await.unwrap().unwrap()).unwrap();
    }
    model.open("gate");
    assert!(answer.text().await.unwrap().contains(r#""b""#));
}

#[tokio::test]
async fn calls_are_counted_and_usage_can_be_said() {
    let model = model().await;
    let messages = json!([
        {"role": "user", "content": "x"}, {"role": "assistant", "content": "y"},
        {"role": "user", "content": "nothing"},
    ]);
    let usage = json!({"prompt_tokens": 7, "completion_tokens": 8, "total_tokens": 15});
    assert_eq!(ask(&model, messages).await["usage"], usage);
}

#[tokio::test]
async fn a_call_that_nothing_fits_and_what_is_no_call_are_refused() {
    let model = ScriptedModel::start("when user contains \"x\"\nsay x").await.unwrap();
    for body in [json!({"messages": user("y")}), json!({"messages": 1}), json!([])] {
        assert_eq!(post(&model, body).await.status(), 400);
    }
    let get = async |path: &str| reqwest::get(format!("{}{path}", model.base_url())).await.unwrap().status();
    assert_eq!((get("/models").await, get("/nothing").await), (StatusCode::OK, StatusCode::NOT_FOUND));
    assert_eq!(get("/chat/completions").await, StatusCode::METHOD_NOT_ALLOWED);
    let error = ScriptedModel::start("say").await.unwrap_err();
    assert!(error.to_string().starts_with("line 1 of the script: a text is missing"), "{error}");
}

#[tokio::test]
async fn requests_are_recorded_and_the_server_ends_with_its_value() {
    let model = model().await;
    ask(&model, user("hello")).await;
    let request = model.request(|request| request.json()["messages"][0]["content"] == "hello").await;
    assert_eq!((request.path.as_str(), request.header("x-test")), ("/v1/chat/completions", "yes"));
    assert_eq!(model.requests().len(), 1);
    let mut open = post(&model, json!({"messages": user("wait"), "stream": true})).await;
    let address = model.address();
    drop(model);
    while let Ok(chunk) = open.chunk().await {
        assert!(chunk.is_some(), "the stream was cut");
    }
    while tokio::net::TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
}
