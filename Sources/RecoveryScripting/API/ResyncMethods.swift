import LuaHost
import RecoveryEngine
import SiteModel

/// Methods about holding replication back, and about comparing whole disks: now, at a time, or not at all.
enum ResyncMethods {
    static func methods(of type: String) -> [FunctionDeclaration] { [pause(type), resync(type), cancelResync(type)] }

    /// One word for both: what runs is held back, be it replication or a comparison.
    private static func pause(_ type: String) -> FunctionDeclaration {
        FunctionDeclaration(
            "pause", "Holds replication back, or the resync that runs; a cycle under way is ended.",
            named: [
                .optional(
                    "at", .choice(ReplicationSide.allCases.map(\.rawValue)),
                    "the side that takes part no longer: health is a warning at the source, critical at the target",
                    otherwise: "\"source\"")
            ],
            results: [ResultDeclaration("job", .record("job"), "what was done")], errors: Operations.errors,
            effect: .changes, example: "local job = \(type):pause()",
            .waiting { call in
                let state = try await call.session.relationship(of: call.receiver).state
                guard state != .resynchronizing else { return try await Operations.perform(.pauseResync, call) }
                return try await Operations.perform(.pause, call, Operations.engineArguments(call, from: ["at"]))
            })
    }

    private static func resync(_ type: String) -> FunctionDeclaration {
        FunctionDeclaration(
            "resync",
            "Compares the disks of both sides and sends what differs; points that are whole stay. With `after` or `at` "
                + "`perilune replicate` begins it then.",
            named: [
                .optional("after", .duration, "how long to put it off, at most 7 days", otherwise: "now"),
                .optional(
                    "at", .text, "the time of day at which it begins, local to the vault: \"22:30\"", otherwise: "now"),
            ],
            results: [
                ResultDeclaration("job", .record("job"), "what was done; nil when it was put off", optional: true)
            ],
            errors: Operations.errors + [ErrorDeclaration("invalid", "it was put off by more than 7 days")],
            effect: .changes, example: "local job = \(type):resync()", in: .paused,
            .waiting { call in
                guard let delay = try delay(call) else { return try await Operations.perform(.resync, call) }
                let relationship = try await call.session.relationship(of: call.receiver)
                try await call.session.engine.scheduleResync(on: relationship.id, after: delay)
                return []
            })
    }

    private static func cancelResync(_ type: String) -> FunctionDeclaration {
        FunctionDeclaration(
            "cancel_resync", "Ends a resync that runs or is held back, or calls off one that was put off.",
            results: [
                ResultDeclaration(
                    "job", .record("job"), "what was done; nil when it was only called off", optional: true)
            ],
            errors: Operations.errors, effect: .changes,
            example: "\(type):resync { after = \"2h\" }\n\(type):cancel_resync()", in: .paused,
            .waiting { call in
                let relationship = try await call.session.relationship(of: call.receiver)
                let runs = [.resynchronizing, .resyncPaused].contains(relationship.state)
                guard !runs, relationship.resyncAt != nil else {
                    return try await Operations.perform(.cancelResync, call)
                }
                try await call.session.engine.scheduleResync(on: relationship.id, after: nil)
                return []
            })
    }

    /// Seconds by which a resync is put off; nil for one that begins now.
    private static func delay(_ call: Call) throws -> Double? {
        let (after, at) = (call.arguments.optionalNumber("after"), call.arguments.optionalText("at"))
        guard let at else { return after }
        guard after == nil else {
            throw LuaError(.argument, "\(call.name): 'after' and 'at' say the same", hint: "give one of them")
        }
        guard let time = TimeOfDay(at) else {
            throw LuaError(
                .argument, "\(call.name): 'at' is no time of day", hint: "write hours and minutes: at = \"22:30\"")
        }
        let dependencies = call.session.engine.dependencies
        let now = dependencies.clock.now
        return time.next(from: now, offset: dependencies.localOffset(now)).seconds(since: now)
    }
}
