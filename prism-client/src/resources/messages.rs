//! Messages to an agent.

use prism_types::{MessageReceipt, SendMessage};
use reqwest::Method;

use super::deployment_collection;
use crate::call::{Call, calls, keyed};

deployment_collection! {
    /// Sends messages to the agent of one deployment; from
    /// [`DeploymentHandle::messages`](super::DeploymentHandle::messages).
    Messages
}

impl Messages {
    /// Sends a message: a string for the default thread, or a [`SendMessage`].
    ///
    /// The answer comes at once and says which run works on the message; what the agent does comes over
    /// [`events`](super::DeploymentHandle::events). Open them first.
    ///
    /// ```no_run
    /// use prism_client::types::SendMessage;
    ///
    /// # use prism_client::{Error, resources::DeploymentHandle};
    /// # async fn example(deployment: DeploymentHandle) -> Result<(), Error> {
    /// deployment.messages().send("Hi").await?;
    /// let receipt = deployment.messages().send(SendMessage::new("Start anew.").new_thread()).await?;
    /// println!("{} on {}", receipt.run_id, receipt.thread_id);
    /// # Ok(())
    /// # }
    /// ```
    pub fn send(&self, message: impl Into<SendMessage>) -> SendMessageCall {
        let path = "/v1/deployments/{deployment_id}/messages";
        SendMessageCall {
            call: Call::new(&self.client, Method::POST, path, &[self.deployment.as_str()])
                .body(&message.into()),
        }
    }
}

calls! {
    /// `POST /v1/deployments/{deployment_id}/messages`, from [`Messages::send`]. Needs the scope
    /// `deployments:write`.
    SendMessageCall -> MessageReceipt;
}

keyed!(SendMessageCall);
