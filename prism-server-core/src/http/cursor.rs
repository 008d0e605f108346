//! Cursors of lists: opaque to clients, bound to the kind of list they come from.

use std::str::FromStr;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use prism_types::Cursor;

/// The cursor after the item with this id. The prefix of the id says what list it is of.
pub(crate) fn encode(id: &impl AsRef<str>) -> Cursor {
    URL_SAFE_NO_PAD.encode(format!("1:{}", id.as_ref())).into()
}

/// The id in a cursor; `None` when it is not one of this kind of list.
pub(crate) fn decode<Id: FromStr>(cursor: &str) -> Option<Id> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    std::str::from_utf8(&bytes).ok()?.strip_prefix("1:")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use prism_types::{DeploymentId, RunId};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_cursor_is_read_back_by_its_own_kind_of_list_only(suffix in "[a-z0-9]{1,30}") {
            let id = DeploymentId::from_suffix(&suffix).unwrap();
            let cursor = encode(&id);
            prop_assert_eq!(decode::<DeploymentId>(cursor.as_str()), Some(id));
            prop_assert_eq!(decode::<RunId>(cursor.as_str()), None);
        }

        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = decode::<DeploymentId>(&text);
        }
    }
}
