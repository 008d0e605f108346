//! The trait with a method for each operation, made from the table.

use std::sync::Arc;

use bytes::Bytes;
use prism_types::*;

use super::{
    Answer, Content, Events, Raw, Refusal, Request,
    query::{
        DeleteDeployment, FilePath, ListApprovals, ListAuditEntries, ListDeliveries, ListFiles, ListMemories,
        StreamEvents, ToolOrigin,
    },
    reply::Tell,
    table::with_operations,
};

/// An operation of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct StubOperation {
    /// The method of [`Stub`] that carries it out, such as `create_deployment`.
    pub name: &'static str,
    /// The method of HTTP.
    pub method: &'static str,
    /// The path; parameters stand in braces.
    pub path: &'static str,
    /// The status of success.
    pub success: u16,
}

macro_rules! stub {
    ($(
        $method:literal $path:literal $summary:literal $status:literal
        $name:ident($($kind:ident $param:ident: $type:ty),*) -> $answer:ty;
    )*) => {
        /// Every operation of the API.
        pub const OPERATIONS: &[StubOperation] = &[$(
            StubOperation { name: stringify!($name), method: $method, path: $path, success: $status },
        )*];

        /// A server, as far as a test needs one: a method for each operation of the API.
        ///
        /// Every method has a default: it asks [`otherwise`](Self::otherwise), and without one it is an error that names
        /// the method to implement (501, `not_stubbed`, which is not tried again). Implement what the test needs.
        ///
        /// A method gets the request, which most ignore, then what stands in the path, the query and the body, each in its
        /// type. It answers at once; [`Reply::after`](super::Reply::after) lets the answer come later. Methods are called
        /// for each attempt of a call, and from several tasks at once: what they change is behind a lock or an atomic.
        ///
        /// See [the module](super) for examples.
        #[allow(unused_variables, reason = "the names of parameters are documentation")]
        pub trait Stub: Send + Sync + 'static {
            /// The stub that carries out what this one does not. Default: none.
            ///
            /// It sees every request before its method, by [`intercept`](Self::intercept), also those that this stub
            /// carries out by itself: a [`FakeServer`](super::FakeServer) behind a stub records them all.
            fn otherwise(&self) -> Option<&dyn Stub> {
                None
            }

            /// Sees each request before its method; what it returns is the answer in the method's place. Default: asks
            /// [`otherwise`](Self::otherwise).
            fn intercept(&self, call: &Request) -> Option<Answer<Raw>> {
                self.otherwise()?.intercept(call)
            }

            /// Sees each answer, and can change it. Default: asks [`otherwise`](Self::otherwise).
            fn conclude(&self, call: &Request, answer: Answer<Raw>) -> Answer<Raw> {
                match self.otherwise() {
                    Some(other) => other.conclude(call, answer),
                    None => answer,
                }
            }

            $(
                #[doc = concat!("`", $method, " ", $path, "`. ", $summary)]
                ///
                /// # Errors
                /// The default: that it is not stubbed.
                fn $name(&self, call: &Request, $($param: $type),*) -> Answer<$answer> {
                    match self.otherwise() {
                        Some(other) => other.$name(call, $($param),*),
                        None => Err(Refusal::not_stubbed($method, $path, stringify!($name))),
                    }
                }
            )*
        }

        /// A stub that is shared, such as with the test that asks afterwards what it saw.
        impl<S: Stub + ?Sized> Stub for Arc<S> {
            fn otherwise(&self) -> Option<&dyn Stub> {
                (**self).otherwise()
            }

            fn intercept(&self, call: &Request) -> Option<Answer<Raw>> {
                (**self).intercept(call)
            }

            fn conclude(&self, call: &Request, answer: Answer<Raw>) -> Answer<Raw> {
                (**self).conclude(call, answer)
            }

            $(fn $name(&self, call: &Request, $($param: $type),*) -> Answer<$answer> {
                (**self).$name(call, $($param),*)
            })*
        }

        /// Calls the method of a request.
        #[allow(unused_mut, unused_variables, reason = "some operations have nothing in their paths")]
        pub(super) fn carry_out(stub: &dyn Stub, request: &Request) -> Answer<Raw> {
            match request.operation() {
                $(stringify!($name) => {
                    let mut place = 0..;
                    let reply = stub.$name(request, $(extract!($kind $param, request, place)?),*)?;
                    Tell::tell(reply, request)
                })*
                // The router takes names from the same table.
                name => Err(Refusal::not_found(name)),
            }
        }
    };
}

/// Takes a parameter out of a request.
macro_rules! extract {
    (path $param:ident, $request:ident, $place:ident) => {
        $request.read_path($place.next().unwrap_or_default(), stringify!($param))
    };
    (query $param:ident, $request:ident, $place:ident) => {
        $request.read_query()
    };
    (body $param:ident, $request:ident, $place:ident) => {
        $request.read_body()
    };
    (content $param:ident, $request:ident, $place:ident) => {
        Ok::<_, Refusal>($request.body().clone())
    };
}

with_operations!(stub);
