//! The route of the model.

use axum::{body::Body, response::IntoResponse};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures::{FutureExt, stream};
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::*;

const KEY: &str = "sk-operators-key";
const CHAT: &str = "/model/v1/chat/completions";
const USAGE: &str = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":11,\"completion_tokens\":22}}\n\n";

fn at(server: &Server) -> Provider {
    Provider::new(&format!("{}/v1/", server.origin), Some(KEY.into())).unwrap()
}

fn events(body: impl Into<Body>) -> Response {
    ([("content-type", "text/event-stream; charset=utf-8")], body.into()).into_response()
}

async fn chat(outside: &Outside, body: Value) -> reqwest::Response {
    let request = client().post(outside.url(CHAT)).bearer_auth("the-agents-token");
    request.header("x-forwarded-for", "1.2.3.4").body(body.to_string()).send().await.unwrap()
}

#[tokio::test]
async fn a_stream_passes_and_is_metered_by_its_usage() {
    let stream =
        format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"Hi\"}}}}]}}\n\n{USAGE}data: [DONE]\n\n");
    let answer = stream.clone();
    let server = Server::answering(move |_, _, _| std::future::ready(events(answer.clone()))).await;
    let provider = at(&server).prices(Prices { input: 1_000_000, output: 1_500_000 });
    let outside = Outside::new(Some(1000), &[("anthropic", provider)], None).await;
    let asked = json!({"model": "the/agents-choice", "stream": true, "stream_options": {"x": 1}, "seed": 1});
    let answer = chat(&outside, asked).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "text/event-stream; charset=utf-8");
    assert_eq!(answer.text().await.unwrap(), stream);
    let (headers, body) = server.asked().remove(0);
    assert_eq!(headers["authorization"], format!("Bearer {KEY}"));
    assert!(!headers.contains_key("x-forwarded-for"));
    let expected = json!({"model": "claude-sonnet-4.5", "stream": true, "seed": 1,
        "stream_options": {"x": 1, "include_usage": true}});
    assert_eq!(serde_json::from_slice::<Value>(&body).unwrap(), expected);
    assert_eq!(outside.metered(1).await, (11, 22, Some(1000 - 11 - 33)));
    assert_eq!(outside.outbound.refusal(), None);
}

#[tokio::test]
async fn a_whole_answer_is_metered_too_and_unknown_prefixes_go_to_the_provider_for_all() {
    let answer = json!({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}});
    let server =
        Server::answering(move |_, _, _| std::future::ready(axum::Json(answer.clone()).into_response()))
            .await;
    let outside = Outside::new(None, &[("openai", at(&server)), ("*", at(&server))], None).await;
    let answer = chat(&outside, json!({"messages": []})).await;
    assert_eq!(answer.read_json().await["usage"]["prompt_tokens"], 3);
    assert_eq!(server.last(), json!({"model": "anthropic/claude-sonnet-4.5", "messages": []}));
    assert_eq!(outside.metered(1).await, (3, 4, None));
    let models = client().get(outside.url("/model/v1/models")).send().await.unwrap();
    let models = models.read_json().await;
    assert_eq!(models["data"][0]["id"], "anthropic/claude-sonnet-4.5");
}

#[tokio::test]
async fn an_event_is_told_before_the_next_one_comes() {
    let next = Arc::new(Notify::new());
    let wait = next.clone();
    let server = Server::answering(move |_, _, _| {
        let wait = wait.clone();
        let first = std::future::ready(Ok::<_, std::io::Error>("data: {\"first\":1}\n\n")).boxed();
        let second = async move {
            wait.notified().await;
            Ok("data: {\"second\":1}\n\n")
        };
        let parts = stream::iter([first, second.boxed()]);
        std::future::ready(events(Body::from_stream(futures::StreamExt::buffered(parts, 1))))
    })
    .await;
    let outside = Outside::new(None, &[("anthropic", at(&server))], None).await;
    let mut answer = chat(&outside, json!({"stream": true})).await;
    assert_eq!(answer.chunk().await.unwrap().unwrap(), "data: {\"first\":1}\n\n");
    next.notify_one();
    assert_eq!(answer.chunk().await.unwrap().unwrap(), "data: {\"second\":1}\n\n");
    assert_eq!(answer.chunk().await.unwrap(), None);
}

#[tokio::test]
async fn an_agent_that_hangs_up_pays_for_what_it_got() {
    let dropped = Arc::new(Notify::new());
    let told = dropped.clone();
    let server = Server::answering(move |_, _, _| {
        struct Told(Arc<Notify>);
        impl Drop for Told {
            fn drop(&mut self) {
                self.0.notify_one();
            }
        }
        let told = Told(told.clone());
        let first = "data: {\"choices\":[{\"delta\":{\"content\":\"12345\"}}]}\n\n";
        let parts = stream::unfold((told, Some(first)), |(told, first)| async move {
            let first = match first {
                Some(first) => first,
                None => std::future::pending().await,
            };
            Some((Ok::<_, std::io::Error>(first), (told, None)))
        });
        std::future::ready(events(Body::from_stream(parts)))
    })
    .await;
    let outside = Outside::new(Some(1000), &[("anthropic", at(&server))], None).await;
    let mut answer = chat(&outside, json!({"stream": true})).await;
    assert!(answer.chunk().await.unwrap().is_some());
    drop(answer);
    let request = server.asked()[0].1.len() as u64;
    let (input, credits) = (request.div_ceil(4), 1000 - request.div_ceil(4) - 2);
    assert_eq!(outside.metered(1).await, (input, 2, Some(credits)));
    dropped.notified().await;
}

#[tokio::test]
async fn without_credits_nothing_is_asked_and_with_one_it_is() {
    let server = Server::answering(|_, _, _| std::future::ready(events(USAGE))).await;
    let outside = Outside::new(Some(0), &[("anthropic", at(&server))], None).await;
    let answer = chat(&outside, json!({})).await;
    assert_eq!(answer.status(), 402);
    let error = answer.read_json().await;
    assert_eq!(error["error"]["code"], "insufficient_credits");
    assert_eq!(outside.outbound.refusal().unwrap().code, "insufficient_credits");
    assert!(server.asked().is_empty());

    let filled = Tenant { credits: Some(1), ..outside.tenant().await };
    commit(outside.store.as_ref(), [Write::UpdateTenant(filled)]).await.unwrap();
    assert_eq!(chat(&outside, json!({})).await.status(), 200);
    assert_eq!(outside.outbound.refusal(), None, "it answered");
    assert_eq!(outside.metered(2).await, (11, 22, Some(0)));
    assert_eq!(chat(&outside, json!({})).await.status(), 402);
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn neither_key_nor_secrets_reach_the_agent() {
    let server = Server::answering(|number, headers, _| {
        let key = headers["authorization"].to_str().unwrap().to_owned();
        let text = format!("{key} {} {SECRET} {}", STANDARD.encode(&key), json!(SECRET));
        let status = [200, 400, 401, 403, 500][number];
        let cut = text.len() / 2;
        let parts = [text[..cut].to_owned(), text[cut..].to_owned()].map(Ok::<_, std::io::Error>);
        let mut response = events(Body::from_stream(stream::iter(parts)));
        *response.status_mut() = status.try_into().unwrap();
        response.headers_mut().insert("x-request-id", KEY.parse().unwrap());
        std::future::ready(response)
    })
    .await;
    let outside = Outside::new(None, &[("anthropic", at(&server))], None).await;
    for status in [200, 400, 401, 403, 500] {
        let answer = chat(&outside, json!({})).await;
        assert_eq!(answer.status(), status);
        assert!(!answer.headers().contains_key("x-request-id"));
        let text = answer.text().await.unwrap();
        assert!(status == 401 || text.starts_with("Bearer [redacted] "), "{text}");
        for hidden in ["operators", "hunter2", "c2stb3BlcmF0b3Jz", "LW9wZXJhdG9"] {
            assert!(!text.contains(hidden), "{status}: {text}");
        }
    }
    let scrubbed = outside.outbound.scrubber().text(KEY).into_owned();
    assert_eq!(scrubbed, KEY, "no agent's event can have the provider's key");
}

#[tokio::test]
async fn errors_of_the_provider_pass_and_are_remembered() {
    let server = Server::answering(|_, _, body| {
        let asked: Value = serde_json::from_slice(&body).unwrap();
        let status = u16::try_from(asked["status"].as_u64().unwrap()).unwrap();
        let body = "x".repeat(asked["length"].as_u64().unwrap_or(5).try_into().unwrap());
        let mut response = (http::StatusCode::from_u16(status).unwrap(), body).into_response();
        response.headers_mut().insert("location", "http://127.0.0.1:1/".parse().unwrap());
        std::future::ready(response)
    })
    .await;
    let outside = Outside::new(Some(5), &[("anthropic", at(&server))], None).await;
    for (status, passed, code) in [
        (400, 400, None),
        (422, 422, None),
        (401, 401, Some("model_unavailable")),
        (403, 403, Some("model_unavailable")),
        (404, 404, Some("model_unavailable")),
        (402, 402, Some("model_failed")),
        (429, 429, Some("model_failed")),
        (500, 500, Some("model_failed")),
        (529, 529, Some("model_failed")),
        (302, 502, Some("model_failed")),
    ] {
        outside.outbounds.shared_by(&records::id("dep_", 1)).refusal.lock().unwrap().take();
        let answer = chat(&outside, json!({"status": status})).await;
        assert_eq!(answer.status(), passed);
        assert!(!answer.headers().contains_key("location"));
        let refusal = outside.outbound.refusal();
        assert_eq!(refusal.as_ref().map(|refusal| refusal.code.as_str()), code, "{status}");
        assert!(refusal.is_none_or(|refusal| refusal.message.contains(&status.to_string())));
    }
    let answer = chat(&outside, json!({"status": 400, "length": limits::OUTBOUND_ERROR + 1})).await;
    assert_eq!(answer.text().await.unwrap().len(), limits::OUTBOUND_ERROR);
    assert_eq!(outside.tenant().await.revision, 0, "errors cost nothing");
}

#[tokio::test]
async fn a_provider_that_is_not_there_is_told_without_its_address() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let provider = Provider::new(&format!("http://{address}/v1"), Some(KEY.into())).unwrap();
    let outside = Outside::new(Some(5), &[("anthropic", provider)], None).await;
    let answer = chat(&outside, json!({})).await;
    assert_eq!(answer.status(), 502);
    let text = answer.text().await.unwrap();
    assert!(text.contains("model_failed") && !text.contains("127.0.0.1"), "{text}");
    assert_eq!(outside.outbound.refusal().unwrap().code, "model_failed");
    assert_eq!(outside.tenant().await.revision, 0);

    let outside = Outside::new(
        None,
        &[("openai", at(&Server::answering(|_, _, _| std::future::ready(events(""))).await))],
        None,
    )
    .await;
    let answer = chat(&outside, json!({})).await;
    assert_eq!(answer.status(), 404);
    let error = answer.read_json().await;
    assert_eq!(error["error"]["code"], "model_unavailable");
    assert!(error["error"]["message"].as_str().unwrap().contains("`anthropic`"), "{error}");
}

#[tokio::test]
async fn what_is_no_request_is_refused() {
    let server = Server::answering(|_, _, _| std::future::ready(events(USAGE))).await;
    let outside = Outside::new(None, &[("anthropic", at(&server))], None).await;
    for body in ["", "{", "[]", "7", "{} {}", "\u{0}"] {
        let answer = client().post(outside.url(CHAT)).body(body).send().await.unwrap();
        assert_eq!(answer.status(), 400, "{body}");
        assert_eq!(answer.read_json().await["error"]["code"], "invalid_request");
    }
    let sized = |length: usize| format!("{{\"a\":\"{}\"}}", "a".repeat(length - 8));
    let answer = client().post(outside.url(CHAT)).body(sized(limits::MODEL_REQUEST)).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let answer = client().post(outside.url(CHAT)).body(sized(limits::MODEL_REQUEST + 1)).send().await;
    // The answer may come before the whole request was sent, and then be lost.
    assert!(answer.is_err() || answer.is_ok_and(|answer| answer.status() == 413));
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn as_many_calls_as_the_limit_are_open_and_not_one_more() {
    let server = Server::answering(|_, _, _| {
        std::future::ready(events(Body::from_stream(stream::pending::<std::io::Result<Bytes>>())))
    })
    .await;
    let outside = Outside::new(None, &[("anthropic", at(&server))], None).await;
    let mut open = Vec::new();
    for _ in 0..limits::MODEL_CALLS {
        open.push(chat(&outside, json!({"stream": true})).await);
    }
    let answer = chat(&outside, json!({})).await;
    assert_eq!((answer.status().as_u16(), &answer.headers()["retry-after"]), (429, &"1".parse().unwrap()));
    drop(open);
    outside.metered(limits::MODEL_CALLS as u64).await;
    assert_eq!(chat(&outside, json!({})).await.status(), 200);
}
