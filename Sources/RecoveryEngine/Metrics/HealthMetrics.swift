package import SiteModel
import VaultStore

/// The figures of health, scheduler and open jobs, named as Prometheus wants it: with their units, counters at `_total`.
package enum HealthMetrics {
    package static func families(
        _ health: VaultHealth, openJobs: Int, scheduler: ReplicatorFigures? = nil
    ) -> [MetricFamily] {
        states(health) + ages(health) + windows(health) + totals(health)
            + [
                MetricFamily(
                    "perilune_jobs_open", .gauge, "Jobs that have not ended.", [MetricSample(Double(openJobs))]),
                MetricFamily(
                    "perilune_metrics_timestamp_seconds", .gauge, "When these figures were read.",
                    [MetricSample(Double(health.at.milliseconds) / 1000)]),
            ] + (scheduler.map(scheduling) ?? [])
    }

    private static func labels(_ item: ItemHealth) -> [(String, String)] {
        [("vm", item.name), ("cloud", item.cloud ?? ""), ("source", item.source), ("target", item.target)]
    }

    private static func gauge(
        _ name: String, _ help: String, _ health: VaultHealth, _ value: (ItemHealth) -> Double?
    ) -> MetricFamily {
        MetricFamily(
            "perilune_replication_\(name)", .gauge, help,
            health.items.compactMap { item in value(item).map { MetricSample($0, labels(item)) } })
    }

    private static func states(_ health: VaultHealth) -> [MetricFamily] {
        [
            MetricFamily(
                "perilune_replication_health", .gauge,
                "1 for the health that a VM's replication has, 0 for the others.",
                health.items.flatMap { item in
                    ReplicationHealth.allCases.map { each in
                        MetricSample(item.health == each ? 1 : 0, labels(item) + [("health", each.rawValue)])
                    }
                }),
            MetricFamily(
                "perilune_replication_state", .gauge, "1 for the state that a VM's replication is in.",
                health.items.map { MetricSample(1, labels($0) + [("state", $0.relationship.state.rawValue)]) }),
            MetricFamily(
                "perilune_replications", .gauge, "VMs by health of their replication.",
                ReplicationHealth.allCases.map {
                    MetricSample(Double(health.count($0)), [("health", $0.rawValue)])
                }),
        ]
    }

    private static func ages(_ health: VaultHealth) -> [MetricFamily] {
        [
            gauge(
                "recovery_point_age_seconds", "Age of the instant that the newest whole recovery point shows.", health
            ) { $0.recoveryPointAge },
            gauge(
                "recovery_point_timestamp_seconds", "The instant that the newest whole recovery point shows.", health
            ) { $0.newestPoint.map { Double($0.milliseconds) / 1000 } },
            gauge("copy_frequency_seconds", "Time between cycles, as the policy says.", health) { $0.frequency },
            gauge("pending_bytes", "Bytes that wait to be sent, where the source has told it.", health) {
                $0.statistics?.pendingBytes.map(Double.init)
            },
        ]
    }

    /// Of the stretch under way: they fall when it ends.
    private static func windows(_ health: VaultHealth) -> [MetricFamily] {
        func window(_ name: String, _ help: String, _ value: @escaping (CycleCounts) -> Double?) -> MetricFamily {
            gauge("window_\(name)", help, health) { $0.statistics.flatMap { value($0.counts) } }
        }
        return [
            window("cycles_succeeded", "Cycles made in this stretch of statistics.") { Double($0.succeeded) },
            window("cycles_missed", "Cycles missed in this stretch of statistics.") { Double($0.missed) },
            window("latency_average_seconds", "From a point's instant until it is whole, on average.") {
                $0.averageLatency
            },
            window("latency_maximum_seconds", "From a point's instant until it is whole, at most.") {
                $0.succeeded > 0 ? $0.latencyMaximum : nil
            },
            window("point_average_bytes", "Bytes sent for a point, on average.") { $0.averageBytes.map(Double.init) },
            window("point_maximum_bytes", "Bytes sent for a point, at most.") {
                $0.succeeded > 0 ? Double($0.bytesMaximum) : nil
            },
            gauge("window_start_timestamp_seconds", "When this stretch of statistics began.", health) {
                Double($0.window.start.milliseconds) / 1000
            },
        ]
    }

    /// Since replication began: they only rise.
    private static func totals(_ health: VaultHealth) -> [MetricFamily] {
        func samples(_ value: (CycleCounts) -> [(Double, [(String, String)])]) -> [MetricSample] {
            health.items.flatMap { item in
                (item.statistics.map { value($0.totals) } ?? []).map { MetricSample($0.0, labels(item) + $0.1) }
            }
        }
        return [
            MetricFamily(
                "perilune_replication_cycles_total", .counter, "Cycles since replication began, by what came of them.",
                samples {
                    [(Double($0.succeeded), [("result", "succeeded")]), (Double($0.missed), [("result", "missed")])]
                }),
            MetricFamily(
                "perilune_replication_failures_total", .counter, "Attempts that failed since replication began.",
                samples {
                    [
                        (Double($0.networkFailures), [("cause", "network")]),
                        (Double($0.replicationFailures), [("cause", "replication")]),
                    ]
                }),
            MetricFamily(
                "perilune_replication_sent_bytes_total", .counter, "Bytes sent for points since replication began.",
                samples { [(Double($0.bytesSum), [])] }),
        ]
    }

    private static func scheduling(_ figures: ReplicatorFigures) -> [MetricFamily] {
        [
            MetricFamily(
                "perilune_scheduler_cycles_total", .counter, "Cycles since this process was started.",
                [
                    MetricSample(Double(figures.begun), [("event", "begun")]),
                    MetricSample(Double(figures.succeeded), [("event", "succeeded")]),
                    MetricSample(Double(figures.failed), [("event", "failed")]),
                    MetricSample(Double(figures.late), [("event", "late")]),
                ]),
            MetricFamily(
                "perilune_scheduler_cycles_running", .gauge, "Cycles under way.",
                [MetricSample(Double(figures.running))]),
            MetricFamily(
                "perilune_scheduler_cycles_waiting", .gauge,
                "Cycles that are due and wait for room at a host or on a link.",
                [MetricSample(Double(figures.waiting))]),
            MetricFamily(
                "perilune_scheduler_delay_maximum_seconds", .gauge, "The longest that a cycle began after it was due.",
                [MetricSample(figures.longestDelay)]),
        ]
    }
}

extension RecoveryEngine {
    /// All figures in the Prometheus text format.
    package func metrics(scheduler: ReplicatorFigures? = nil) async throws -> String {
        let health = try await health()
        let open = try await vault.read { try $0.openJobs().count }
        return MetricsText.render(HealthMetrics.families(health, openJobs: open, scheduler: scheduler))
    }
}
