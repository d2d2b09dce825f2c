//! The rules of a pod, by theme. A test's name is the rule it proves.

mod budget;
mod check;
mod compose_file;
mod copy;
mod definition;
mod depends;
mod ending;
mod engine;
mod examples;
mod health;
mod hooks;
mod images;
mod keys;
mod logs;
mod placement;
mod podlike;
mod privileges;
mod recovery;
mod registries;
mod secrets;
mod sharing;
mod takeover;
