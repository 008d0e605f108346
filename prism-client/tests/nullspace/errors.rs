//! Refusals, in each of their forms.

use prism_client::{
    Error,
    types::{
        ErrorCode,
        nullspace::{self, CreateRun},
    },
};
use serde_json::{Value, json};

use super::{
    deployment_of,
    support::script::{Script, json as answer},
};

async fn refused(status: u16, body: Value) -> Error {
    let script = Script::new(move |_| answer(status, &body));
    deployment_of(&script).runs().create(CreateRun::new()).await.unwrap_err()
}

#[tokio::test]
async fn codes_are_readable_and_the_questions_are_answered_by_them() {
    type Question = fn(&Error) -> bool;
    let cases: &[(u16, &str, Question)] = &[
        (400, "invalid_request", Error::is_validation),
        (400, "agent_deployment_invalid_config", Error::is_validation),
        (401, "unauthorized", Error::is_unauthorized),
        (403, "forbidden", Error::is_forbidden),
        (404, "agent_run_not_found", Error::is_not_found),
        (404, "something_new_not_found", Error::is_not_found),
        (409, "agent_deployment_name_conflict", Error::is_conflict),
        (409, "agent_deployment_idempotency_mismatch", Error::is_idempotency_mismatch),
        (409, "agent_deployment_invalid_state", Error::is_invalid_state),
        (429, "capacity_exceeded", Error::is_quota_exceeded),
        (429, "QUOTA_EXCEEDED", Error::is_quota_exceeded),
        (429, "rate_limit_exceeded", Error::is_rate_limited),
        (503, "no_eligible_runtime_host", Error::is_server),
    ];
    for (status, code, question) in cases {
        for body in [
            json!({ "error": "a text", "code": code, "request_id": "r" }),
            json!({ "error": { "message": "a text", "code": code, "retryable": false } }),
        ] {
            let error = refused(*status, body).await;
            assert!(question(&error), "{code}: {error:?}");
            assert_eq!(error.code().map(ErrorCode::as_str), Some(*code));
            assert_eq!((error.status(), error.request_id()), (Some(*status), Some("req_script")));
            let expected = format!(
                "POST /v1/agent-deployments/adpl_1/runs: {status} {code}: a text (request req_script)"
            );
            assert_eq!(error.to_string(), expected);
            assert_eq!(
                error.is_retryable(),
                matches!(*code, "rate_limit_exceeded" | "no_eligible_runtime_host")
            );
        }
    }
}

#[tokio::test]
async fn the_whole_body_is_told() {
    let error = refused(409, json!({ "error": "no", "code": "x", "build_id": "adpb_1", "hint": 7 })).await;
    let body: &nullspace::ErrorBody = error.nullspace_body().unwrap();
    assert_eq!(body.build_id.as_ref().unwrap().as_str(), "adpb_1");
    assert_eq!(body.unknown_fields().get("hint").unwrap().get(), "7");
}

#[tokio::test]
async fn bodies_of_the_native_api_and_of_proxies_are_read_as_everywhere() {
    let error = refused(401, json!({ "error": "unauthorized", "message": "No key." })).await;
    assert!(error.is_unauthorized() && error.nullspace_body().is_none());
    let error = refused(404, json!("not here")).await;
    assert!(error.is_not_found() && error.body().is_none());

    let script = Script::new(|_| answer(404, &json!({ "error": "no", "code": "agent_run_not_found" })));
    let error = script.client().snapshots().list().await.unwrap_err();
    assert!(error.body().is_none() && error.nullspace_body().is_none(), "the native API has no such body");
}
