//! The contract of the log ([`bellwire_common::log::Log`]), run on each implementation.
//!
//! A new implementation writes a [`backend::Backend`] in its own file here and names it in one of the
//! `contract!` lines below. What only one implementation promises is tested beside that implementation.

#[path = "log_contract/backend.rs"]
mod backend;
#[path = "log_contract/durable.rs"]
mod durable;
#[path = "log_contract/limits.rs"]
mod limits;
#[path = "log_contract/probe.rs"]
mod probe;
#[path = "log_contract/reading.rs"]
mod reading;
#[path = "log_contract/writing.rs"]
mod writing;

#[path = "log_contract/embedded.rs"]
mod embedded;
#[path = "log_contract/memory.rs"]
mod memory;
#[path = "log_contract/rabbitmq.rs"]
mod rabbitmq;

macro_rules! cases {
    ($backend:ty, $file:ident: $($case:ident),* $(,)?) => {
        mod $file {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    use crate::backend::Backend as _;
                    let Some(backend) = <$backend>::start().await else { return };
                    $crate::probe::within(stringify!($case), $crate::$file::$case(backend)).await;
                }
            )*
        }
    };
}

macro_rules! contract {
    ($name:ident: $backend:ty) => {
        mod $name {
            contract!(@ $backend);
        }
    };
    ($name:ident: $backend:ty, durable) => {
        mod $name {
            contract!(@ $backend);
            contract!(@durable $backend);
        }
    };
    ($name:ident: $backend:ty, only durable) => {
        mod $name {
            contract!(@durable $backend);
        }
    };
    (@durable $backend:ty) => {
        cases!($backend, durable:
            a_restart_keeps_everything_confirmed,
            offsets_only_grow_over_restarts,
            a_crash_in_the_middle_of_appends_loses_nothing_confirmed,
            crash_after_crash_loses_nothing_confirmed,
        );
    };
    (@ $backend:ty) => {
        cases!($backend, writing:
            order_is_kept,
            a_batch_stays_in_order,
            nothing_appended_is_fine,
            shards_are_apart,
            duplicates_are_all_kept,
            soft_and_safe_records_keep_one_order,
            many_tasks_append_at_once,
            close_flushes_and_ends,
        );
        cases!($backend, reading:
            an_empty_log_is_caught_up_at_once,
            caught_up_comes_once_and_after_what_was_there,
            every_reader_gets_all,
            an_offset_is_inclusive,
            beyond_the_end_only_new_records_come,
            far_beyond_the_end_reading_starts_over,
            asked_to_a_reader_attaches_anew_without_gap_or_repeat,
            a_time_finds_what_came_since,
            a_reader_may_go_at_any_moment,
            a_slow_reader_misses_nothing,
            unreadable_records_are_skipped,
            names_tell_shards_apart,
        );
        cases!($backend, limits:
            the_largest_record_passes,
            a_larger_record_is_refused_with_its_batch,
            overload_is_bounded,
        );
    };
}

contract!(memory_log: crate::memory::MemoryBackend);
contract!(rabbitmq_log: crate::rabbitmq::RabbitBackend);
contract!(rabbitmq_settled: crate::rabbitmq::SettledBackend, only durable);
contract!(embedded_log: crate::embedded::EmbeddedBackend, durable);
