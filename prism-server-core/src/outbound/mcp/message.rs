//! Messages of agents to MCP servers.
//!
//! What passes is written anew from what was read, so that the server cannot read something else than what was
//! looked at, such as the other one of two fields of the same name. Values that are not looked at stay as they
//! are, byte for byte.

use std::collections::BTreeMap;

use http::StatusCode;
use serde_json::value::{RawValue, to_raw_value};

use super::{Allowed, Called, INVALID_PARAMS, INVALID_REQUEST, PARSE_ERROR, Refused};

type Fields = BTreeMap<String, Box<RawValue>>;

/// A request, a notification or an answer of the agent.
#[derive(Debug)]
pub(super) struct Message {
    fields: Fields,
    method: Option<String>,
}

impl Message {
    pub(super) fn read(body: &[u8]) -> Result<Self, Refused> {
        let refused = |code, message: &str| Refused::new(StatusCode::BAD_REQUEST, code, message.to_owned());
        let value: &RawValue =
            serde_json::from_slice(body).map_err(|_| refused(PARSE_ERROR, "the message is not JSON"))?;
        if value.get().starts_with('[') {
            return Err(refused(INVALID_REQUEST, "batches are not taken; send each message by itself"));
        }
        let fields: Fields = serde_json::from_str(value.get())
            .map_err(|_| refused(INVALID_REQUEST, "the message is not a JSON object"))?;
        let method = fields.get("method").map(|method| serde_json::from_str(method.get()));
        let method =
            method.transpose().map_err(|_| refused(INVALID_REQUEST, "the method is not a string"))?;
        Ok(Self { fields, method })
    }

    /// The id of a request; `None` when no answer is wanted.
    pub(super) fn id(&self) -> Option<Box<RawValue>> {
        self.method.as_ref()?;
        let id = self.fields.get("id")?;
        let fits = matches!(id.get().as_bytes().first(), Some(b'"' | b'-' | b'0'..=b'9'));
        fits.then(|| id.clone())
    }

    /// The message for the server, and the tool that it calls: only one that is allowed, and with the customer.
    pub(super) fn passed(
        mut self,
        tools: &Allowed,
        customer_id: &str,
    ) -> Result<(Vec<u8>, Option<Called>), Refused> {
        let refused = |message: String| Refused::new(StatusCode::BAD_REQUEST, INVALID_PARAMS, message);
        let written = |error: serde_json::Error| refused(error.to_string());
        let mut called = None;
        if self.method.as_deref() == Some("tools/call") {
            let params = self.fields.get("params").map(|params| serde_json::from_str(params.get()));
            let Some(Ok(mut params)) = params else {
                return Err(refused("params must be an object".to_owned()));
            };
            let name = Fields::get(&params, "name").map(|name| serde_json::from_str::<String>(name.get()));
            let Some(Ok(name)) = name else { return Err(refused("params.name must be a string".to_owned())) };
            if !tools.has(&name) {
                return Err(refused("tool not allowed".to_owned()));
            }
            called = Some(Called { tool: name, arguments: params.get("arguments").cloned() });
            let meta = params.get("_meta").and_then(|meta| serde_json::from_str(meta.get()).ok());
            let mut meta: Fields = meta.unwrap_or_default();
            meta.insert("prism/customer_id".to_owned(), to_raw_value(customer_id).map_err(written)?);
            params.insert("_meta".to_owned(), to_raw_value(&meta).map_err(written)?);
            self.fields.insert("params".to_owned(), to_raw_value(&params).map_err(written)?);
        }
        Ok((serde_json::to_vec(&self.fields).map_err(written)?, called))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn passed(message: &str, tools: Option<&[&str]>) -> Result<Value, String> {
        let tools = tools.map_or_else(Allowed::default, Allowed::only);
        let message = Message::read(message.as_bytes()).map_err(|refused| refused.message)?;
        let (passed, _) = message.passed(&tools, "cus_ü").map_err(|refused| refused.message)?;
        Ok(serde_json::from_slice(&passed).unwrap())
    }

    #[test]
    fn only_allowed_tools_are_called() {
        let call = |name: &str| {
            json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name}}).to_string()
        };
        assert!(passed(&call("search"), Some(&["search"])).is_ok());
        assert!(passed(&call("search"), None).is_ok());
        for allowed in [&[][..], &["Search"], &["search "]] {
            assert_eq!(passed(&call("search"), Some(allowed)).unwrap_err(), "tool not allowed");
        }
        for message in [
            r#"{"id":1,"method":"tools/call","params":{"name":"search","name":"delete"}}"#,
            r#"{"id":1,"method":"ping","method":"tools/call","params":{"name":"delete"}}"#,
            r#"{"id":1,"m\u0065thod":"tools\/call","params":{"n\u0061me":"delete"}}"#,
            r#"{"id":1,"method":"tools/call","params":{"name":"search"},"params":{"name":"delete"}}"#,
            r#"{"method":"tools/call","params":{"name":"delete"}}"#,
        ] {
            assert_eq!(passed(message, Some(&["search"])).unwrap_err(), "tool not allowed", "{message}");
        }
        let twice = r#"{"id":1,"method":"tools/call","params":{"name":"delete","name":"search"}}"#;
        assert_eq!(passed(twice, Some(&["search"])).unwrap()["params"]["name"], "search");
        for message in [
            r#"{"id":1,"method":"tools/call"}"#,
            r#"{"id":1,"method":"tools/call","params":["search"]}"#,
            r#"{"id":1,"method":"tools/call","params":{"name":["search"]}}"#,
        ] {
            assert!(passed(message, Some(&["search"])).unwrap_err().starts_with("params"), "{message}");
        }
    }

    #[test]
    fn a_call_tells_the_customer_and_leaves_all_else() {
        let message = r#"{"id":1,"method":"tools/call","params":{"name":"a","arguments":{"n":1.0000000000000000001},
            "_meta":{"progressToken":7,"prism/customer_id":"forged"}}}"#;
        let message = Message::read(message.as_bytes()).unwrap();
        let passed = String::from_utf8(message.passed(&Allowed::default(), "cus_1").unwrap().0).unwrap();
        assert!(passed.contains(r#"{"n":1.0000000000000000001}"#), "{passed}");
        assert!(passed.contains(r#""_meta":{"prism/customer_id":"cus_1","progressToken":7}"#), "{passed}");
        assert!(!passed.contains("forged"));
        let other = self::passed(r#"{"id":1,"method":"tools/list"}"#, Some(&[])).unwrap();
        assert_eq!(other, json!({"id": 1, "method": "tools/list"}));
    }

    #[test]
    fn what_is_no_single_message_is_refused() {
        for message in
            ["", "{", "[]", " [{\"method\":\"tools/call\"}]", "7", "\"a\"", r#"{"method":7}"#, "{} {}"]
        {
            assert!(Message::read(message.as_bytes()).is_err(), "{message}");
        }
        assert!(Message::read(br#"{"id":"a","result":{}}"#).unwrap().id().is_none());
        assert_eq!(Message::read(br#"{"id":"a","method":"b"}"#).unwrap().id().unwrap().get(), "\"a\"");
        assert!(Message::read(br#"{"id":null,"method":"b"}"#).unwrap().id().is_none());
    }
}
