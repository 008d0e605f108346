//! The edge as a whole, before services that are played: in memory, where time can be paused, and on the loopback
//! interface.

mod admission;
mod bounds;
mod logging;
mod loopback;
mod passing;
mod places;
mod tunnels;
mod world;
