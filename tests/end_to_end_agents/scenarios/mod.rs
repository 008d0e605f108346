//! What agents are to do, whatever they run in.

pub(crate) mod approvals;
pub(crate) mod conversations;
pub(crate) mod files;
pub(crate) mod isolation;
pub(crate) mod live;
pub(crate) mod losses;
pub(crate) mod memories;
pub(crate) mod policy;
pub(crate) mod steering;
pub(crate) mod tools;
