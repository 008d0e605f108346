//! Instances of an agent deployment whose mode is `service`.

use prism_types::{
    Cursor,
    nullspace::{
        AgentVersionId, CreateService, LogPage, Page, RestartService, ServiceInstance, ServiceInstanceId,
        ServiceStatus, ServiceUrl, StopService,
    },
};
use reqwest::Method;

use super::{collection, keyed, logs::logged};
use crate::{
    call::{calls, paged, query_setters, waited},
    wait::{Ready, Wait},
};

collection! {
    /// The service instances of one agent deployment; from
    /// [`AgentDeploymentHandle::services`](super::AgentDeploymentHandle::services).
    Services
}

impl Services {
    /// Creates an instance. It is `starting`: wait for it with [`wait_until_ready`](Self::wait_until_ready).
    pub fn create(&self, request: CreateService) -> CreateServiceCall {
        let call = self.all(Method::POST, "/v1/agent-deployments/{deployment_id}/services");
        CreateServiceCall { call: call.body(&request) }
    }

    /// Lists instances, newest first, a page at a time.
    pub fn list(&self) -> ListServicesCall {
        ListServicesCall { call: self.all(Method::GET, "/v1/agent-deployments/{deployment_id}/services") }
    }

    /// Reads an instance.
    pub fn get(&self, id: &ServiceInstanceId) -> GetServiceCall {
        let path = "/v1/agent-deployments/{deployment_id}/services/{service_id}";
        GetServiceCall { call: self.one(Method::GET, path, id) }
    }

    /// Stops an instance. It may be `stopping` when this answers.
    pub fn stop(&self, id: &ServiceInstanceId, request: StopService) -> StopServiceCall {
        let path = "/v1/agent-deployments/{deployment_id}/services/{service_id}/stop";
        StopServiceCall { call: self.one(Method::POST, path, id).takes_key(false).body(&request) }
    }

    /// Starts an instance anew, under the same id. Nobody has kept its environment variables: name all of them again.
    pub fn restart(&self, id: &ServiceInstanceId, request: RestartService) -> RestartServiceCall {
        let path = "/v1/agent-deployments/{deployment_id}/services/{service_id}/restart";
        RestartServiceCall { call: self.one(Method::POST, path, id).takes_key(false).body(&request) }
    }

    /// Reads the log of an instance, a part at a time, or follows it.
    pub fn logs(&self, id: &ServiceInstanceId) -> ReadServiceLogsCall {
        let path = "/v1/agent-deployments/{deployment_id}/services/{service_id}/logs";
        ReadServiceLogsCall { call: self.one(Method::GET, path, id) }
    }

    /// Reads where an instance is reached. The URL has a token that holds for a short time: ask again for each use.
    pub fn url(&self, id: &ServiceInstanceId) -> GetServiceUrlCall {
        let path = "/v1/agent-deployments/{deployment_id}/services/{service_id}/url";
        GetServiceUrlCall { call: self.one(Method::GET, path, id) }
    }

    /// Waits until an instance is [`Ready`]. One that failed or was stopped is [`is_hopeless`](crate::Error::is_hopeless).
    pub fn wait_until_ready(&self, id: &ServiceInstanceId) -> Wait<ServiceInstance> {
        self.get(id).wait_until(Ready)
    }
}

calls! {
    /// `POST /v1/agent-deployments/{deployment_id}/services`, from [`Services::create`]. Where there is no room, it is
    /// [`is_quota_exceeded`](crate::Error::is_quota_exceeded).
    CreateServiceCall -> ServiceInstance;
    /// `GET /v1/agent-deployments/{deployment_id}/services`, from [`Services::list`].
    ListServicesCall -> Page<ServiceInstance>;
    /// `GET /v1/agent-deployments/{deployment_id}/services/{service_id}`, from [`Services::get`].
    GetServiceCall -> ServiceInstance;
    /// `POST /v1/agent-deployments/{deployment_id}/services/{service_id}/stop`, from [`Services::stop`]. It has no key, and
    /// is sent again only after a 429, or if there was no connection.
    StopServiceCall -> ServiceInstance;
    /// `POST /v1/agent-deployments/{deployment_id}/services/{service_id}/restart`, from [`Services::restart`]. It has no
    /// key, and is sent again only after a 429, or if there was no connection.
    RestartServiceCall -> ServiceInstance;
    /// `GET /v1/agent-deployments/{deployment_id}/services/{service_id}/url`, from [`Services::url`].
    GetServiceUrlCall -> ServiceUrl;
    /// `GET /v1/agent-deployments/{deployment_id}/services/{service_id}/logs`, from [`Services::logs`].
    ReadServiceLogsCall -> LogPage;
}

logged!(ReadServiceLogsCall of ServiceInstance);

waited!(GetServiceCall -> ServiceInstance);

keyed!(CreateServiceCall);

paged!(ListServicesCall -> Page<ServiceInstance> of ServiceInstance);

query_setters!(ListServicesCall {
    /// Lists only those in this status.
    status: ServiceStatus,
    /// Lists only those of this version.
    version_id: AgentVersionId,
    /// Sets how many to answer at most, 1 to 200. Default: 50.
    limit: u32,
    /// Goes on where the page before ended: at its `next_cursor`.
    cursor: Cursor,
});
