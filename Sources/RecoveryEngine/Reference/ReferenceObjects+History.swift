import SiteModel

// Sections 1.15 and 1.16 of the collected facts: job, alert, event, health error.

extension ReferenceObjects {
    static let history: [ReferenceObject] = [
        ReferenceObject(
            "1.15", "Job and task",
            here: "The durable memory of one operation: an engine that finds an open one drives it to its end.",
            [
                ReferencePart(
                    "id, scenario, target object", lua: ["job.id", "job.operation", "vault:jobs"],
                    model: ["Job.id", "Job.operation", "Job.relationship"],
                    "A job is always one VM's; a plan's run has steps of its own."),
                ReferencePart(
                    "state and its description", lua: ["job.outcome"],
                    model: ["Job.state", "JobOutcome.completedWithInformation"],
                    "\(words(JobOutcome.allCases.map(\.rawValue))). What did not begin is no job, and what was skipped is a plan's."
                ),
                ReferencePart(
                    "start, end", lua: ["job.began", "job.took"], model: ["Job.startedAt", "Job.endedAt"], ""),
                ReferencePart(
                    "tasks", lua: ["job.stages", "stage.name", "stage.state"], model: ["Job.stages", "Stage.state"],
                    "Stages; each is recorded before and after it acts. Kinds of task of a plan (script, manual action, VM, group) are its steps: `plan_result`."
                ),
                ReferencePart(
                    "errors: code, message, causes, recommended action, task",
                    lua: [
                        "job.failures", "failure.kind", "failure.message", "failure.causes", "failure.hint",
                        "failure.stage",
                    ],
                    model: ["JobFailure.kind", "JobFailure.causes", "JobFailure.hint", "JobFailure.stage"],
                    "All that it met, the last one too."),
                ReferencePart(
                    "allowed actions: cancel, restart, resume", lua: ["job.actions"],
                    model: ["JobAction.resume", "JobAction.restart", "JobAction.cancel"],
                    "Only what copies can be cancelled. Resume and restart are the same command again."),
                ReferencePart(
                    "waits for input", lua: ["plan_action.manual", "item:clean_up_test"],
                    model: ["PlanStepState.waiting"],
                    "Manual actions of a plan. A test failover ends as a job; its test goes on, with a deadline, until the clean-up."
                ),
                ReferencePart("export to a file", "`perilune ... --json`, instead of three formats."),
                ReferencePart(
                    "enable, then finalize protection", lua: ["vm:protect"],
                    "One job; the item is `protected` when its first point is whole."),
                ReferencePart(
                    "how long jobs are kept", model: ["Job.endedAt"],
                    "\(limits.days) days; of one VM the last \(limits.cyclesOfVM) cycles and \(count(limits.jobsOfVM)) other jobs. Always kept: the last of each kind, open ones, those of runs under way, and those that a plan's run names."
                ),
            ]),
        ReferenceObject(
            "1.16", "Alert, event, health error",
            here: "Events tell what happened; `perilune replicate` judges health and tells those who asked for it.",
            [
                ReferencePart(
                    "alert: to owners, to addresses", lua: ["vault:alert", "alert.to", "alert_email.to"],
                    model: ["AlertRule.webhook", "AlertRule.mail", "AlertMail.mostRecipients"],
                    "Any number of rules: a webhook, or up to \(AlertMail.mostRecipients) addresses through an SMTP server. There are no owners."
                ),
                ReferencePart(
                    "what is told", lua: ["alert.on", "alert.severity", "alert.quiet"],
                    model: ["AlertRule.topics", "AlertRule.severity"],
                    "\(words(AlertTopic.allCases.map(\.rawValue))), from a severity on; the same once while it lasts."),
                ReferencePart("language of alerts", "Left out: there is one."),
                ReferencePart(
                    "event: code, type, object, severity, time, text",
                    lua: ["vault:events", "event.code", "event.topic", "event.severity", "event.at", "event.text"],
                    model: ["Event.code", "Event.topic", "Event.object", "Event.severity", "Event.at", "Event.text"],
                    "\(words(Event.Topic.allCases.map(\.rawValue)))."),
                ReferencePart(
                    "causes, recommendation of an event", lua: ["event.causes", "event.recommendation"],
                    model: ["Event.causes", "Event.recommendation"], "Of failures."),
                ReferencePart(
                    "how long events are kept", model: ["Event.at"],
                    "\(limits.days) days; the newest \(count(limits.events)), and of older ones \(count(limits.warnings)) warnings and critical ones. Always kept: what a rule of alerts has not looked at, and what is of open jobs and runs under way."
                ),
                ReferencePart(
                    "health error: code, level, category, message, causes, recommendation, time, object",
                    lua: [
                        "health_error.code", "health_error.level", "health_error.message", "health_error.causes",
                        "health_error.recommendation",
                    ],
                    model: ["HealthError.code", "HealthError.category", "HealthError.at", "HealthError.object"],
                    "\(words(HealthError.Level.allCases.map(\.rawValue)))."),
                ReferencePart(
                    "whether a customer can resolve it, inner errors",
                    "Left out: the operator is the only one there is, and causes are sentences."),
                ReferencePart(
                    "statistics: sizes, latencies, counts, pending, window",
                    lua: [
                        "replication_health.average_size", "replication_health.longest_latency",
                        "replication_health.missed", "replication_health.pending", "item:reset_statistics",
                    ],
                    model: ["ReplicationStatistics.lastSync"], "Section 7.3 of the facts; also as Prometheus text."),
            ]),
    ]

    private static let limits = HistoryLimits.standard

    /// A number as people write it: 100,000.
    static func count(_ number: Int) -> String {
        let digits = String(number)
        return digits.count <= 3 ? digits : count(number / 1000) + "," + String(digits.suffix(3))
    }
}
