//! Pages of lists.

use crate::{Cursor, UnknownFields, unknown_fields::answer};

answer! {
    /// A page of a list, newest first.
    ///
    /// A page has 1 to 200 items, by the `limit` of the request, whose default is 50. The cursor is opaque.
    pub struct Page<T> {
        /// The items.
        pub items: Vec<T>,
        /// Where the next page starts; `null` on the last one.
        #[serde(default)]
        pub next_cursor: Option<Cursor>,
    }
}

impl<T> Page<T> {
    /// A page.
    pub fn new(items: Vec<T>, next_cursor: Option<Cursor>) -> Self {
        Self { items, next_cursor, unknown_fields: UnknownFields::default() }
    }
}

impl<T> From<Page<T>> for crate::Page<T> {
    fn from(page: Page<T>) -> Self {
        Self { data: page.items, next_cursor: page.next_cursor, unknown_fields: page.unknown_fields }
    }
}

#[cfg(test)]
mod tests {
    use super::Page;

    #[test]
    fn nothing_is_lost_on_the_way_to_a_page_of_the_native_api() {
        let page: Page<u32> = serde_json::from_str(r#"{"items":[1,2],"next_cursor":"c","total":2}"#).unwrap();
        let page = crate::Page::from(page);
        assert_eq!((page.data.as_slice(), page.next_cursor.as_ref().unwrap().as_str()), (&[1, 2][..], "c"));
        assert_eq!(page.unknown_fields().get("total").unwrap().get(), "2");
    }
}
