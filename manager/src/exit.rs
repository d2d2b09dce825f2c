//! The one table of exit statuses.
