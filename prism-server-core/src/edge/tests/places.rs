//! Which service a request is for.

use axum::{Router, body::Body, extract::Request};
use http::header::{HOST, LOCATION};
use serde_json::Value;

use super::world::{App, LABEL, World, mirror, refused, text};
use crate::edge::router;

fn world(domain: Option<&str>) -> World {
    World::with(App::Router(Router::new().fallback(mirror)), |options| {
        options.settings.edge_domain = domain.map(|domain| domain.parse().unwrap());
    })
}

fn get(host: &str, target: &str) -> Request {
    Request::get(target).header(HOST, host).body(Body::empty()).unwrap()
}

#[tokio::test]
async fn below_a_domain_each_service_has_a_name() {
    let world = world(Some("edge.example:8443"));
    let target = format!("/a?b&edge_token={}", world.token());
    for host in [format!("{LABEL}.edge.example:8443"), format!("{}.Edge.Example", LABEL.to_uppercase())] {
        let seen: Value = serde_json::from_str(&text(world.send(get(&host, &target)).await).await).unwrap();
        assert_eq!(seen["target"], "/a?b");
        assert_eq!(seen["headers"]["host"][0], host);
        assert!(seen["headers"]["x-forwarded-prefix"].is_null());
    }
    // As a request of HTTP/2 comes, or one to a proxy.
    let absolute = Request::get(format!("http://{LABEL}.edge.example{target}")).body(Body::empty()).unwrap();
    assert!(text(world.send(absolute).await).await.contains("\"/a?b\""));
    for host in ["edge.example", "api.example", "x.edge.example.com"] {
        assert_eq!(text(world.send(get(host, &target)).await).await, "inner", "{host}");
    }
    for name in ["www", "0-s-abc", "a.8000-s-abc", ""] {
        let response = world.send(get(&format!("{name}.edge.example"), &target)).await;
        assert_eq!(refused(response).await, (404, "not_found".to_owned()), "{name}");
    }
    let other = world.send(get("8000-s-other.edge.example", &target)).await;
    assert_eq!(refused(other).await.1, "edge_token_scope_mismatch");
}

#[tokio::test]
async fn below_a_domain_there_are_no_paths() {
    let world = world(Some("edge.example"));
    let response = world.send(get("api.example", &world.path("/"))).await;
    assert_eq!(refused(response).await, (404, "not_found".to_owned()));
    // To a service it is a path like any other.
    let target = format!("/edge/x?edge_token={}", world.token());
    let seen = text(world.send(get(&format!("{LABEL}.edge.example"), &target)).await).await;
    assert!(seen.contains("\"/edge/x\""), "{seen}");
}

#[tokio::test]
async fn by_path_a_service_sees_its_own_paths() {
    let world = world(None);
    for path in
        ["/", "/a", "/a/", "//a", "/a/../b", "/a%2Fb%00", "/?", "/a?b=1&c", "/edge/8000-s-abc/x", "/ä"]
    {
        let path = path.replace('ä', "%C3%A4");
        let seen: Value = serde_json::from_str(&text(world.get(&path).await).await).unwrap();
        let expected = path.strip_suffix('?').unwrap_or(&path);
        let seen = seen["target"].as_str().unwrap();
        assert_eq!(seen.strip_suffix('?').unwrap_or(seen), expected, "{path}");
    }
    assert_eq!(text(world.send(get("a", "/other")).await).await, "inner");
    for label in ["8000-s-", "08000-s-abc", "8000-S-abc", "x", "%38000-s-abc"] {
        let response = world.send(get("a", &format!("/edge/{label}/?edge_token={}", world.token()))).await;
        assert_eq!(refused(response).await, (404, "not_found".to_owned()), "{label}");
    }
}

#[tokio::test]
async fn the_root_has_a_slash_at_its_end() {
    let world = world(None);
    let response = world.send(get("a", &format!("/edge/{LABEL}?a=b"))).await;
    assert_eq!(response.status(), 308);
    assert_eq!(response.headers()[LOCATION], format!("/edge/{LABEL}/?a=b"));
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert_eq!(response.headers()["referrer-policy"], "no-referrer");
}

#[tokio::test]
async fn a_router_that_is_nested_keeps_its_place() {
    let world = world(None);
    let nested = Router::new().nest("/agents", router(world.edge.clone()));
    let ask = |target: String| {
        let request = get("h", &target);
        async { tower::ServiceExt::oneshot(nested.clone(), request).await.unwrap() }
    };
    let response = ask(format!("/agents{}", world.path("/x"))).await;
    let set = response.headers()["set-cookie"].to_str().unwrap();
    assert!(set.contains(&format!("; Path=/agents/edge/{LABEL}/;")), "{set}");
    let seen: Value = serde_json::from_str(&text(response).await).unwrap();
    assert_eq!(seen["target"], "/x");
    assert_eq!(seen["headers"]["x-forwarded-prefix"][0], format!("/agents/edge/{LABEL}"));
    let response = ask(format!("/agents/edge/{LABEL}")).await;
    assert_eq!(response.headers()[LOCATION], format!("/agents/edge/{LABEL}/"));
}
