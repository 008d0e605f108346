//! skill_fetcher
