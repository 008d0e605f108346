//! What the builders of operations share, written once.

/// Declares the builders of operations. Setters that only one of them has stand beside it.
macro_rules! calls {
    ($($(#[$doc:meta])* $name:ident -> $answer:ty;)+) => { $(
        $(#[$doc])*
        ///
        /// Nothing is sent before [`send`](Self::send) or `.await`.
        #[derive(Debug, Clone)]
        #[must_use = "nothing is sent before `send` or `.await`"]
        pub struct $name {
            call: crate::call::Call,
        }

        impl $name {
            /// Sets the time limit of this call, with all its attempts and the pauses between them. Default: the client's
            /// [`timeout`](crate::ClientBuilder::timeout).
            pub fn timeout(mut self, timeout: std::time::Duration) -> Self {
                self.call.set_timeout(Some(timeout));
                self
            }

            /// Sets the time limit of each attempt, from the connection to the end of the answer. Default: the client's
            /// [`attempt_timeout`](crate::ClientBuilder::attempt_timeout).
            pub fn attempt_timeout(mut self, timeout: std::time::Duration) -> Self {
                self.call.set_attempt_timeout(timeout);
                self
            }

            /// Sets how this call is tried again. Default: the client's [`retries`](crate::ClientBuilder::retries).
            pub fn retries(mut self, policy: crate::RetryPolicy) -> Self {
                self.call.set_retry_policy(policy);
                self
            }

            /// Sends the request, and again when it fails in a way that may pass; see
            /// [what is tried again](crate#what-is-tried-again-and-what-is-not).
            ///
            /// # Errors
            /// See [`Error`](crate::Error) for what there is to ask it.
            pub async fn send(self) -> Result<crate::Response<$answer>, crate::Error> {
                self.call.send().await
            }
        }

        crate::call::headed!($name);

        impl IntoFuture for $name {
            type Output = Result<crate::Response<$answer>, crate::Error>;
            type IntoFuture = std::pin::Pin<Box<dyn Future<Output = Self::Output> + Send>>;

            fn into_future(self) -> Self::IntoFuture {
                Box::pin(self.send())
            }
        }
    )+ };
}

/// Declares the setter of headers of the caller's choice.
macro_rules! headed {
    ($name:ident) => {
        impl $name {
            /// Sends a header as well, with every attempt, in place of one of the
            /// [client's](crate::ClientBuilder::header). One that this crate sets itself, such as `authorization`, is
            /// [`is_configuration`](crate::Error::is_configuration) when the call is sent.
            pub fn header(mut self, name: &str, value: &str) -> Self {
                self.call.add_header(name, value);
                self
            }
        }
    };
}

/// Declares setters of query parameters. A literal number needs no suffix, because numbers are taken as they are.
macro_rules! query_setters {
    ($name:ident { $($(#[$doc:meta])* $field:ident: $type:tt,)+ }) => {
        impl $name { $(
            $(#[$doc])*
            pub fn $field(mut self, value: query_setters!(@ $type)) -> Self {
                let value: $type = value.into();
                self.call.set_query(stringify!($field), value);
                self
            }
        )+ }
    };
    (@ u32) => { u32 };
    (@ bool) => { bool };
    (@ $type:tt) => { impl Into<$type> };
}

/// Declares the streams of calls that list, and how each part of the list is answered.
macro_rules! paged {
    ($($name:ident -> $answer:ident $(<$parameter:ident>)? of $item:ty),+ $(,)?) => { $(
        impl $name {
            /// The items of all pages, from this one on, as a stream. The `limit` is that of each page.
            pub fn items(self) -> crate::Items<$item> {
                crate::Items::new(self.pages())
            }

            /// The pages, from this one on, as a stream.
            pub fn pages(self) -> crate::Pages<$item> {
                crate::Pages::new::<paged!(@answer $answer $(<$parameter>)? $item)>(self.call)
            }
        }
    )+ };
    (@answer $answer:ident < $parameter:ident > $item:ty) => { $answer<$parameter> };
    (@answer Page $item:ty) => { prism_types::Page<$item> };
    (@answer $answer:ident $item:ty) => { $answer };
}

/// Declares the waiting of calls that read one thing.
macro_rules! waited {
    ($($name:ident -> $answer:ty),+) => { $(
        impl $name {
            /// Reads again and again until a condition is met; see [`wait`](crate::wait).
            pub fn wait_until(
                self,
                condition: impl crate::wait::Condition<$answer> + Send + Sync + 'static,
            ) -> crate::wait::Wait<$answer> {
                crate::wait::Wait::new(self.call, condition)
            }
        }
    )+ };
}

/// Declares the setter of the idempotency key, for `POST`s.
macro_rules! keyed {
    ($($name:ident),+) => { $(
        impl $name {
            /// Names the request, so that it is carried out once however often it is sent with this key: the server gives
            /// the answer of the first one again, for 24 hours. 1 to 255 visible ASCII characters, best random. Default: a
            /// random key, the same for all attempts of the call, which
            /// [the answer](crate::Response::idempotency_key) and [the error](crate::Error::idempotency_key) tell. Set one
            /// that is stored first, and a program that was killed can send the request again.
            pub fn idempotency_key(mut self, key: &str) -> Self {
                self.call.set_header("idempotency-key", key);
                self
            }
        }
    )+ };
}

/// Declares the setter of the entity tag, for changes of what has one.
macro_rules! conditional {
    ($($name:ident),+) => { $(
        impl $name {
            /// Makes the change only to what was read: with its [`etag`](crate::Response::etag). When it was changed since,
            /// the answer is an error with the status 412, and nothing is done.
            pub fn if_match(mut self, etag: &str) -> Self {
                self.call.set_header("if-match", etag);
                self
            }
        }
    )+ };
}

pub(crate) use {calls, conditional, headed, keyed, paged, query_setters, waited};
