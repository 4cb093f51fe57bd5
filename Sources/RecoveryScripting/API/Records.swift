import LuaHost
import SiteModel

/// Plain tables that the API returns: their declarations, and how they are made.
enum Records {
    static let job = RecordDeclaration(
        "job", "One execution of an operation.",
        fields: [
            ResultDeclaration("id", .text, "identity of the job in the vault"),
            ResultDeclaration("operation", .text, "what was done, as status and rules name it"),
            ResultDeclaration("bytes", .integer, "disk content sent", unit: .bytes, optional: true),
            ResultDeclaration("seconds", .number, "how long the copy took", unit: .seconds, optional: true),
            ResultDeclaration(
                "point", .integer, "number of the recovery point made or chosen", unit: .ordinal, optional: true),
            ResultDeclaration("at", .number, "the instant that the point shows", unit: .epochSeconds, optional: true),
            ResultDeclaration(
                "consistency", .choice(PointConsistency.allCases.map(\.rawValue)),
                "of a point that was to be application-consistent: what it is", optional: true),
            ResultDeclaration("reason", .text, "why it is crash-consistent only", optional: true),
            ResultDeclaration("held", .number, "how long the guest was held", unit: .seconds, optional: true),
            ResultDeclaration("stages", .list(.record("stage")), "its stages, in order"),
            ResultDeclaration("took", .number, "how long it took from begin to end", unit: .seconds, optional: true),
            ResultDeclaration("began", .number, "when", unit: .epochSeconds),
            ResultDeclaration("outcome", .choice(JobOutcome.allCases.map(\.rawValue)), "how it stands, or ended"),
            ResultDeclaration(
                "actions", .list(.choice(JobAction.allCases.map(\.rawValue))), "what may be done with it now"),
            ResultDeclaration("failures", .list(.record("failure")), "what went wrong, oldest first", optional: true),
            ResultDeclaration("folder", .text, "where an exported first copy lies", optional: true),
            ResultDeclaration("findings", .list(.text), "what the caller should know, each a sentence"),
            ResultDeclaration("vm", .text, "of a test: name of the test VM", optional: true),
            ResultDeclaration(
                "address", .text, "of a test: the first address that its guest is told to take", optional: true),
            ResultDeclaration(
                "ends", .number, "of a test: when it is cleaned up at the latest", unit: .epochSeconds, optional: true),
            ResultDeclaration(
                "passed", .boolean, "of a clean-up: the test VM had come up, and nothing is left", optional: true),
        ])

    static let failure = RecordDeclaration(
        "failure", "Something that went wrong in a job.",
        fields: [
            ResultDeclaration("kind", .text, "stable word for the fault"),
            ResultDeclaration("message", .text, "what happened"),
            ResultDeclaration("causes", .list(.text), "what may have brought it about, the likeliest first"),
            ResultDeclaration("hint", .text, "what to do", optional: true),
            ResultDeclaration("stage", .text, "the stage that failed", optional: true),
            ResultDeclaration("at", .number, "when", unit: .epochSeconds, optional: true),
        ])

    static let serverNode = RecordDeclaration(
        "server_node", "A machine of a server that runs on several.",
        fields: [
            ResultDeclaration("name", .text, "its name"),
            ResultDeclaration("version", .text, "its version"),
            ResultDeclaration("active", .boolean, "whether the server runs on it now"),
            ResultDeclaration("last_heartbeat", .number, "its last sign of life", unit: .epochSeconds, optional: true),
        ])

    static let stage = RecordDeclaration(
        "stage", "A step of an operation.",
        fields: [
            ResultDeclaration("name", .text, "what it does, such as claim-ownership"),
            ResultDeclaration("state", .choice(["pending", "begun", "done"]), "how far it is"),
            ResultDeclaration("seconds", .number, "how long it took", unit: .seconds, optional: true),
        ])

    static let point = RecordDeclaration(
        "point", "One whole, consistent state of all disks of a VM.",
        fields: [
            ResultDeclaration("number", .integer, "counted up within the relationship", unit: .ordinal),
            ResultDeclaration("at", .number, "the instant that it shows", unit: .epochSeconds),
            ResultDeclaration("kind", .choice(["initial", "crash", "application", "planned"]), "how it came to be"),
            ResultDeclaration("bytes", .integer, "sent to make it", unit: .bytes),
            ResultDeclaration(
                "consistency", .choice(PointConsistency.allCases.map(\.rawValue)),
                "\"application\" when the guest's agent had frozen its file systems"),
            ResultDeclaration(
                "reason", .text, "why it is crash-consistent where it was to be application-consistent", optional: true),
            ResultDeclaration("held", .number, "how long its guest was held", unit: .seconds, optional: true),
            ResultDeclaration("group", .text, "name of the group point that it is a part of", optional: true),
            ResultDeclaration("damage", .text, "what is known to be wrong with it", optional: true),
            ResultDeclaration(
                "checked_at", .number, "when it was last read and was as it had been written", unit: .epochSeconds,
                optional: true),
            ResultDeclaration(
                "verified_at", .number, "when it was last compared with its source at its instant, and was the same",
                unit: .epochSeconds, optional: true),
        ])

    static let refusal = RecordDeclaration(
        "refusal", "Why an operation may not begin now.",
        fields: [
            ResultDeclaration("operation", .text, "what was asked for"),
            ResultDeclaration("rule", .text, "id of the rule that forbids it"),
            ResultDeclaration("message", .text, "the rule in one sentence"),
            ResultDeclaration("hint", .text, "what to do instead"),
        ])

    static let reply = RecordDeclaration(
        "reply", "What a guest answered.",
        fields: [
            ResultDeclaration("status", .integer, "HTTP status", unit: .ordinal),
            ResultDeclaration("body", .text, "the text of the answer, at most 64 KiB"),
            ResultDeclaration("json", .any, "the body as Lua data, when it is JSON", optional: true),
        ])

    static let event = RecordDeclaration(
        "event", "Something that happened.",
        fields: [
            ResultDeclaration("at", .number, "when", unit: .epochSeconds),
            ResultDeclaration("severity", .choice(["info", "warning", "critical"]), "how bad it is"),
            ResultDeclaration("text", .text, "what happened"),
            ResultDeclaration("code", .text, "stable word for it", optional: true),
            ResultDeclaration(
                "topic", .choice(Event.Topic.allCases.map(\.rawValue)), "what it is about", optional: true),
            ResultDeclaration("causes", .list(.text), "what may have brought it about", optional: true),
            ResultDeclaration("recommendation", .text, "what to do", optional: true),
        ])

    static let labSite = RecordDeclaration(
        "lab_site", "How a site of the lab is reached and fenced, in the words of vault:host.",
        fields: [
            ResultDeclaration("name", .text, "the site"),
            ResultDeclaration("uri", .text, "libvirt connection URI"),
            ResultDeclaration("agent", .text, "path of the agent's control socket"),
            ResultDeclaration("address", .text, "where the agent receives data, as host:port"),
            ResultDeclaration("store", .text, "folder of the recovery points"),
            ResultDeclaration("fence", .list(.text), "command that ends the site for certain"),
        ])

    // MARK: Values

    static func seconds(_ time: Timestamp) -> LuaValue { .number(Double(time.milliseconds) / 1000) }

    static func value(_ job: Job) -> LuaValue {
        func integer(_ fact: String) -> LuaValue { job.facts[fact].flatMap(Int.init).map { LuaValue($0) } ?? .nil }
        var table = LuaTable()
        table["id"] = LuaValue(job.id)
        table["operation"] = LuaValue(job.operation.rawValue)
        table["bytes"] = integer("bytes")
        table["seconds"] = job.facts["seconds"].flatMap(Double.init).map { .number($0) } ?? .nil
        table["point"] = integer("point")
        table["at"] = job.facts["at"].flatMap(Int64.init).map { seconds(Timestamp(milliseconds: $0)) } ?? .nil
        table["consistency"] = LuaValue(job.facts["consistency"])
        table["reason"] = LuaValue(job.facts["crashReason"])
        table["held"] = job.facts["held"].flatMap(Double.init).map { .number($0) } ?? .nil
        table["stages"] = .list(
            job.stages.map { stage in
                .table(
                    LuaTable([
                        "name": LuaValue(stage.name), "state": LuaValue(stage.state.rawValue),
                        "seconds": elapsed(stage.startedAt, stage.endedAt),
                    ]))
            })
        table["took"] = elapsed(job.startedAt, job.endedAt)
        table["findings"] = .list(
            (job.facts["findings"] ?? "").split(separator: "\n").map { LuaValue(String($0)) })
        table["vm"] = LuaValue(job.facts["testVM"])
        table["address"] = LuaValue(job.facts["testAddress"])
        table["ends"] =
            job.facts["testEnds"].flatMap(Int64.init).map { seconds(Timestamp(milliseconds: $0)) } ?? .nil
        table["passed"] = job.facts["passed"].map { .boolean($0 == "true") } ?? .nil
        table["began"] = seconds(job.startedAt)
        table["outcome"] = LuaValue(job.outcome.rawValue)
        table["actions"] = .list(job.allowedActions.map { LuaValue($0.rawValue) })
        if let failures = job.failures { table["failures"] = .list(failures.map(value)) }
        table["folder"] = LuaValue(job.facts["folder"])
        return .table(table)
    }

    static func value(_ failure: JobFailure) -> LuaValue {
        var table = LuaTable()
        table["kind"] = LuaValue(ErrorConversion.kind(failure.kind).rawValue)
        table["message"] = LuaValue(failure.message)
        table["causes"] = .list((failure.causes ?? []).map { LuaValue($0) })
        table["hint"] = LuaValue(failure.hint)
        table["stage"] = LuaValue(failure.stage)
        table["at"] = failure.at.map(seconds) ?? .nil
        return .table(table)
    }

    static func value(_ node: ServerNode) -> LuaValue {
        .table(
            LuaTable([
                "name": LuaValue(node.name), "version": LuaValue(node.version), "active": .boolean(node.active),
                "last_heartbeat": node.lastHeartbeat.map(seconds) ?? .nil,
            ]))
    }

    private static func elapsed(_ from: Timestamp?, _ to: Timestamp?) -> LuaValue {
        guard let from, let to else { return .nil }
        return .number(to.seconds(since: from))
    }

    static func value(_ point: RecoveryPoint) -> LuaValue {
        .table(
            LuaTable([
                "number": LuaValue(point.number), "at": seconds(point.at), "kind": LuaValue(point.cause.rawValue),
                "bytes": .integer(Int64(clamping: point.bytes)), "consistency": LuaValue(point.consistency.rawValue),
                "reason": LuaValue(point.crashReason), "held": point.heldSeconds.map { .number($0) } ?? .nil,
                "group": LuaValue(point.group),
                "damage": LuaValue(point.damage?.text),
                "checked_at": point.checkedAt.map(seconds) ?? .nil,
                "verified_at": point.verifiedAt.map(seconds) ?? .nil,
            ]))
    }

    static func value(_ refusal: Refusal) -> LuaValue {
        .table(
            LuaTable([
                "operation": LuaValue(refusal.operation.rawValue), "rule": LuaValue(refusal.rule.id),
                "message": LuaValue(refusal.rule.sentence), "hint": LuaValue(refusal.rule.hint),
            ]))
    }

    static func value(_ event: Event) -> LuaValue {
        .table(
            LuaTable([
                "at": seconds(event.at), "severity": LuaValue(event.severity.rawValue), "text": LuaValue(event.text),
                "code": LuaValue(event.code), "topic": LuaValue(event.topic?.rawValue),
                "causes": event.causes.map { .list($0.map { LuaValue($0) }) } ?? .nil,
                "recommendation": LuaValue(event.recommendation),
            ]))
    }
}
