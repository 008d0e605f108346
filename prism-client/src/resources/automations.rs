//! Automations: work that an agent does on a timetable.

use prism_types::{
    Automation, AutomationId, AutomationRun, AutomationSummary, CreateAutomation, Cursor, DeletedAutomation,
    Page, TriggeredAutomation, UpdateAutomation,
};
use reqwest::Method;

use super::deployment_collection;
use crate::call::{Call, calls, keyed, paged, query_setters};

deployment_collection! {
    /// The automations of one deployment; from
    /// [`DeploymentHandle::automations`](super::DeploymentHandle::automations).
    Automations
}

impl Automations {
    /// Creates an automation.
    ///
    /// ```
    /// # use prism_client::Client;
    /// # use prism_types::{CreateAutomation, DeploymentId};
    /// # async fn create(client: Client, deployment: DeploymentId) -> Result<(), prism_client::Error> {
    /// let digest = CreateAutomation::new("Digest", "every weekday at 9am", "Sum up what is new.");
    /// let automations = client.deployment(&deployment).automations();
    /// let created = automations.create(digest.timezone("Europe/Berlin")).await?;
    /// println!("{} is {}, next at {:?}", created.schedule, created.cron, created.next_run_at);
    /// # Ok(())
    /// # }
    /// ```
    pub fn create(&self, request: CreateAutomation) -> CreateAutomationCall {
        CreateAutomationCall { call: self.all(Method::POST).body(&request) }
    }

    /// Lists automations, newest first, a page at a time.
    pub fn list(&self) -> ListAutomationsCall {
        ListAutomationsCall { call: self.all(Method::GET) }
    }

    /// Reads an automation with its newest runs.
    pub fn get(&self, id: &AutomationId) -> GetAutomationCall {
        let path = "/v1/deployments/{deployment_id}/automations/{automation_id}";
        GetAutomationCall { call: self.one(Method::GET, path, id) }
    }

    /// Changes an automation. [`enabled`](UpdateAutomation::enabled) pauses it and lets it go on.
    pub fn update(&self, id: &AutomationId, request: UpdateAutomation) -> UpdateAutomationCall {
        UpdateAutomationCall {
            call: self
                .one(Method::PATCH, "/v1/deployments/{deployment_id}/automations/{automation_id}", id)
                .body(&request),
        }
    }

    /// Deletes an automation with its history. Its thread and its runs stay.
    pub fn delete(&self, id: &AutomationId) -> DeleteAutomationCall {
        let path = "/v1/deployments/{deployment_id}/automations/{automation_id}";
        DeleteAutomationCall { call: self.one(Method::DELETE, path, id) }
    }

    /// Runs an automation now, also when it is paused. It is a conflict while its thread has an unfinished run.
    pub fn trigger(&self, id: &AutomationId) -> TriggerAutomationCall {
        let path = "/v1/deployments/{deployment_id}/automations/{automation_id}/trigger";
        TriggerAutomationCall { call: self.one(Method::POST, path, id) }
    }

    /// Lists what became of the times of an automation, newest first, a page at a time.
    pub fn runs(&self, id: &AutomationId) -> ListAutomationRunsCall {
        let path = "/v1/deployments/{deployment_id}/automations/{automation_id}/runs";
        ListAutomationRunsCall { call: self.one(Method::GET, path, id) }
    }

    fn all(&self, method: Method) -> Call {
        let path = "/v1/deployments/{deployment_id}/automations";
        Call::new(&self.client, method, path, &[self.deployment.as_str()])
    }

    fn one(&self, method: Method, path: &'static str, id: &AutomationId) -> Call {
        Call::new(&self.client, method, path, &[self.deployment.as_str(), id.as_str()])
    }
}

calls! {
    /// `POST /v1/deployments/{deployment_id}/automations`, from [`Automations::create`]. Needs the scope
    /// `deployments:write`.
    CreateAutomationCall -> Automation;
    /// `GET /v1/deployments/{deployment_id}/automations`, from [`Automations::list`]. Needs the scope
    /// `deployments:read`.
    ///
    /// A page may be empty and still not be the last: go on while it has a `next_cursor`.
    ListAutomationsCall -> Page<AutomationSummary>;
    /// `GET /v1/deployments/{deployment_id}/automations/{automation_id}`, from [`Automations::get`]. Needs the scope
    /// `deployments:read`.
    GetAutomationCall -> Automation;
    /// `PATCH /v1/deployments/{deployment_id}/automations/{automation_id}`, from [`Automations::update`]. Needs the
    /// scope `deployments:write`.
    UpdateAutomationCall -> Automation;
    /// `DELETE /v1/deployments/{deployment_id}/automations/{automation_id}`, from [`Automations::delete`]. Needs the
    /// scope `deployments:write`.
    DeleteAutomationCall -> DeletedAutomation;
    /// `POST /v1/deployments/{deployment_id}/automations/{automation_id}/trigger`, from [`Automations::trigger`].
    /// Needs the scope `deployments:write`.
    TriggerAutomationCall -> TriggeredAutomation;
    /// `GET /v1/deployments/{deployment_id}/automations/{automation_id}/runs`, from [`Automations::runs`]. Needs the
    /// scope `deployments:read`.
    ///
    /// A page may be empty and still not be the last: go on while it has a `next_cursor`.
    ListAutomationRunsCall -> Page<AutomationRun>;
}

keyed!(CreateAutomationCall, TriggerAutomationCall);

paged!(ListAutomationsCall -> Page of AutomationSummary, ListAutomationRunsCall -> Page of AutomationRun);

query_setters!(ListAutomationsCall {
    /// Sets how many to answer at most, 1 to 100. Default: 20.
    limit: u32,
    /// Goes on where the page before ended: at its `next_cursor`.
    cursor: Cursor,
});

query_setters!(ListAutomationRunsCall {
    /// Sets how many to answer at most, 1 to 100. Default: 20.
    limit: u32,
    /// Goes on where the page before ended: at its `next_cursor`.
    cursor: Cursor,
});
