//! The queries of operations.

use std::str::FromStr;

use prism_types::{
    Cursor, DeploymentId, ErrorCode, ListDeployments, ListPage, Problem, RunId, ThreadId,
    WebhookDeliveryStatus,
};

use super::Refusal;

/// A query that can be read.
pub(super) trait Query: Default {
    /// Takes one parameter in; `None`: there is no such parameter.
    fn take(&mut self, name: &str, value: &str) -> Option<Result<(), Refusal>>;
}

/// Reads the parameters of a query. Those that are not known are refused.
pub(super) fn read<Q: Query>(pairs: &[(String, String)]) -> Result<Q, Refusal> {
    let mut query = Q::default();
    for (name, value) in pairs {
        query.take(name, value).unwrap_or_else(|| Err(invalid(name, "is not a known parameter")))?;
    }
    Ok(query)
}

fn set<T: FromStr>(field: &mut Option<T>, name: &str, value: &str) -> Result<(), Refusal> {
    let value = value.parse().map_err(|_| invalid(name, "does not have its form"))?;
    match field.replace(value) {
        Some(_) => Err(invalid(name, "is given twice")),
        None => Ok(()),
    }
}

fn invalid(name: &str, rule: &str) -> Refusal {
    let path = format!("query.{name}");
    let message = format!("1 problem: {path}: {rule}");
    Refusal::new(400, ErrorCode::ValidationError, message).problem(Problem::new(path, rule))
}

macro_rules! readable {
    ($name:ident { $($field:ident),+ }) => {
        impl Query for $name {
            fn take(&mut self, name: &str, value: &str) -> Option<Result<(), Refusal>> {
                match name {
                    $(stringify!($field) => Some(set(&mut self.$field, name, value)),)+
                    _ => None,
                }
            }
        }
    };
}

macro_rules! queries {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)+ })+) => { $(
        $(#[$doc])*
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct $name {
            $($(#[$field_doc])* pub $field: Option<$type>,)+
        }

        readable!($name { $($field),+ });
    )+ };
}

readable!(ListPage { limit, cursor });
readable!(ListDeployments { customer_id, status, limit, cursor });

queries! {
    /// The query of [`delete_deployment`](super::Stub::delete_deployment).
    DeleteDeployment {
        /// Whether the workspace is kept. Default: no.
        retain_filesystem: bool,
    }
    /// The query of [`stream_events`](super::Stub::stream_events). Where to begin is
    /// [`last_event_id`](super::Request::last_event_id) of the request.
    StreamEvents {
        /// Only events of this thread.
        thread_id: ThreadId,
        /// Only events of this run.
        run_id: RunId,
    }
    /// The query of [`list_files`](super::Stub::list_files).
    ListFiles {
        /// The directory. Default: the root.
        path: String,
        /// How many to answer at most, 1 to 10,000. Default: 10,000.
        limit: u32,
        /// Where to go on.
        cursor: Cursor,
    }
    /// The query of what is done with a file.
    FilePath {
        /// The path, relative to the root of the workspace.
        path: String,
    }
    /// The query of [`update_tool`](super::Stub::update_tool).
    ToolOrigin {
        /// The MCP server that has the tool, or `builtin`.
        origin: String,
    }
    /// The query of [`list_approvals`](super::Stub::list_approvals).
    ListApprovals {
        /// Only those that wait for an answer. Default: all.
        pending: bool,
        /// How many to answer at most, 1 to 100. Default: 20.
        limit: u32,
        /// Where to go on.
        cursor: Cursor,
    }
    /// The query of [`list_memories`](super::Stub::list_memories).
    ListMemories {
        /// Only memories that have all these words.
        q: String,
        /// How many to answer at most, 1 to 100. Default: 20.
        limit: u32,
        /// Where to go on.
        cursor: Cursor,
    }
    /// The query of [`list_webhook_deliveries`](super::Stub::list_webhook_deliveries).
    ListDeliveries {
        /// Only deliveries in this status.
        status: WebhookDeliveryStatus,
        /// How many to answer at most, 1 to 100. Default: 20.
        limit: u32,
        /// Where to go on.
        cursor: Cursor,
    }
    /// The query of [`list_audit_entries`](super::Stub::list_audit_entries).
    ListAuditEntries {
        /// Only changes of this deployment.
        deployment_id: DeploymentId,
        /// How many to answer at most, 1 to 100. Default: 20.
        limit: u32,
        /// Where to go on.
        cursor: Cursor,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(pairs: &[(&str, &str)]) -> Result<ListApprovals, Refusal> {
        let pairs: Vec<_> = pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        read(&pairs)
    }

    #[test]
    fn a_query_is_read_by_its_form() {
        let read = query(&[("pending", "true"), ("limit", "3")]).unwrap();
        assert_eq!((read.pending, read.limit, read.cursor), (Some(true), Some(3), None));
        for bad in [
            &[("pending", "maybe")][..],
            &[("limit", "-1")],
            &[("x", "1")],
            &[("limit", "1"), ("limit", "2")],
        ] {
            assert_eq!(query(bad).unwrap_err().status(), Some(400), "{bad:?}");
        }
    }
}
