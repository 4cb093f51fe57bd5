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
            ResultDeclaration("stages", .list(.record("stage")), "its stages, in order"),
            ResultDeclaration("took", .number, "how long it took from begin to end", unit: .seconds),
        ])

    static let stage = RecordDeclaration(
        "stage", "A step of an operation.",
        fields: [
            ResultDeclaration("name", .text, "what it does, such as claim-ownership"),
            ResultDeclaration("seconds", .number, "how long it took", unit: .seconds, optional: true),
        ])

    static let point = RecordDeclaration(
        "point", "One whole, consistent state of all disks of a VM.",
        fields: [
            ResultDeclaration("number", .integer, "counted up within the relationship", unit: .ordinal),
            ResultDeclaration("at", .number, "the instant that it shows", unit: .epochSeconds),
            ResultDeclaration("kind", .choice(["initial", "crash", "application", "planned"]), "how it came to be"),
            ResultDeclaration("bytes", .integer, "sent to make it", unit: .bytes),
        ])

    static let refusal = RecordDeclaration(
        "refusal", "Why an operation may not begin now.",
        fields: [
            ResultDeclaration("operation", .text, "what was asked for"),
            ResultDeclaration("rule", .text, "id of the rule that forbids it"),
            ResultDeclaration("message", .text, "the rule in one sentence"),
            ResultDeclaration("hint", .text, "what to do instead"),
        ])

    static let next = RecordDeclaration(
        "next", "What may be done now, and why not the rest.",
        fields: [
            ResultDeclaration("allowed", .list(.text), "operations that may begin"),
            ResultDeclaration("refused", .list(.record("refusal")), "the others, each with the rule that forbids it"),
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
        table["stages"] = .list(
            job.stages.map { stage in
                .table(
                    LuaTable([
                        "name": LuaValue(stage.name),
                        "seconds": elapsed(stage.startedAt, stage.endedAt),
                    ]))
            })
        table["took"] = elapsed(job.startedAt, job.endedAt)
        return .table(table)
    }

    private static func elapsed(_ from: Timestamp?, _ to: Timestamp?) -> LuaValue {
        guard let from, let to else { return .nil }
        return .number(to.seconds(since: from))
    }

    static func value(_ point: RecoveryPoint) -> LuaValue {
        .table(
            LuaTable([
                "number": LuaValue(point.number), "at": seconds(point.at), "kind": LuaValue(point.cause.rawValue),
                "bytes": .integer(Int64(clamping: point.bytes)),
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
            ]))
    }
}
