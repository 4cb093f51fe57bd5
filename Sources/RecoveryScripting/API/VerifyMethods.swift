import BlockReplication
import LuaHost
import RecoveryEngine
import SiteModel

/// Making sure that points are what they must be, and looking at what diverged.
enum VerifyMethods {
    static func methods(of type: String) -> [FunctionDeclaration] {
        [verify(type), cancel(type), divergence(type), discard(type)]
    }

    static let records = [divergenceRecord, diskRecord]

    private static func verify(_ type: String) -> FunctionDeclaration {
        FunctionDeclaration(
            "verify",
            "Makes a recovery point, compares both sides whole at that instant, and makes another point of what differs. With "
                + "`point` nothing is copied: stored points are read at their host and compared with the checksums that were "
                + "kept when they were written.",
            named: [
                .optional(
                    "point",
                    .either([.choice(["latest", "application-consistent", "all"]), .integer, .record("point")]),
                    "the stored point to read, or \"all\"", otherwise: "both sides are compared", unit: .ordinal)
            ],
            results: [
                ResultDeclaration("job", .record("job"), "what was done; `findings` says what came of it")
            ], errors: Operations.errors, effect: .changes,
            example: "for _, finding in ipairs(\(type):verify().findings) do print(finding) end",
            .waiting { call in
                guard let point = try Operations.pointArgument(call) else {
                    return try await Operations.perform(.verify, call)
                }
                return try await Operations.perform(.verifyPoint, call, ["point": point])
            })
    }

    private static func cancel(_ type: String) -> FunctionDeclaration {
        FunctionDeclaration(
            "cancel_verify", "Ends a verification that runs; what it has found by then is kept.",
            results: [Operations.job], errors: Operations.errors, effect: .changes,
            example: "\(type):verify()\n-- elsewhere, while that is under way\n"
                + "if \(type):can(\"cancel-verify\") then \(type):cancel_verify() end",
            .waiting { call in try await Operations.perform(.cancelVerify, call) })
    }

    private static func divergence(_ type: String) -> FunctionDeclaration {
        FunctionDeclaration(
            "divergence",
            "Lists what the disks of the VM's former owner hold that the VM went on without: kept until the next failover to "
                + "that host is committed, or until it is given up. With `export` it is also written to a new folder there.",
            named: [
                .optional(
                    "export", .text,
                    "a folder that does not exist yet, at the host that has the disks: a raw sparse file for each disk is "
                        + "written into it, with the diverged blocks in place", otherwise: "it is only listed")
            ],
            results: [
                ResultDeclaration("divergence", .record("divergence"), "nil when nothing is kept", optional: true)
            ],
            errors: [
                ErrorDeclaration("unreachable", "the host that has the disks does not answer"),
                ErrorDeclaration("failed", "the folder exists already, or has no room"),
            ], effect: .reads,
            example: "local diverged = \(type):divergence()\nif diverged then print(diverged.host, diverged.bytes) end",
            .waiting { call in
                let relationship = try await call.session.relationship(of: call.receiver)
                let found = try await call.session.engine.divergence(
                    of: relationship.id, exportingTo: call.arguments.optionalText("export"))
                return [found.map { value($0.divergence, at: $0.host) } ?? .nil]
            })
    }

    private static func discard(_ type: String) -> FunctionDeclaration {
        FunctionDeclaration(
            "discard_divergence",
            "Gives up what the former owner's disks hold besides: it is listed no more, and the reason is kept in the events.",
            named: [.required("reason", .text, "why nobody needs it")],
            errors: [
                ErrorDeclaration("unknown", "nothing is kept"),
                ErrorDeclaration("unreachable", "the host that has the disks does not answer"),
            ], effect: .cannotBeUndone,
            example: "\(type):reverse()\n"
                + "if \(type):divergence() then \(type):discard_divergence { reason = \"compared by hand\" } end",
            in: type == "relationship" ? .managementCommitted : .committed,
            .waiting { call in
                let relationship = try await call.session.relationship(of: call.receiver)
                try await call.session.engine.discardDivergence(
                    of: relationship.id, reason: call.arguments.text("reason"))
                return []
            })
    }

    private static let divergenceRecord = RecordDeclaration(
        "divergence", "What a former owner's disks hold that the VM went on without.",
        fields: [
            ResultDeclaration("host", .text, "the host that has the disks"),
            ResultDeclaration("at", .number, "when the two sides parted", unit: .epochSeconds),
            ResultDeclaration("bytes", .integer, "in all disks together", unit: .bytes),
            ResultDeclaration(
                "exact", .boolean, "false where it is only known that what diverged is among this"),
            ResultDeclaration("disks", .list(.record("diverged_disk")), "disk by disk"),
        ])

    private static let diskRecord = RecordDeclaration(
        "diverged_disk", "One disk of a divergence.",
        fields: [
            ResultDeclaration("target", .text, "libvirt's name of the disk, such as vda"),
            ResultDeclaration("path", .text, "the former owner's file, which holds the blocks; not to be written"),
            ResultDeclaration("format", .text, "\"raw\" or \"qcow2\""),
            ResultDeclaration("bytes", .integer, "that diverged", unit: .bytes),
            ResultDeclaration(
                "ranges", .list(.list(.integer)), "offset and length of each, at most 1000", unit: .bytes),
            ResultDeclaration("count", .integer, "how many ranges there are", unit: .ordinal),
            ResultDeclaration("file", .text, "what they were written to", optional: true),
        ])

    private static func value(_ divergence: Divergence, at host: String) -> LuaValue {
        func bytes(_ count: UInt64) -> LuaValue { .integer(Int64(clamping: count)) }
        return .table(
            LuaTable([
                "host": LuaValue(host), "at": Records.seconds(divergence.at), "exact": .boolean(divergence.isExact),
                "bytes": bytes(divergence.disks.reduce(0) { $0 + $1.bytes }),
                "disks": .list(
                    divergence.disks.map { disk in
                        .table(
                            LuaTable([
                                "target": LuaValue(disk.target), "path": LuaValue(disk.image.path),
                                "format": LuaValue(disk.image.format), "bytes": bytes(disk.bytes),
                                "ranges": .list(
                                    disk.ranges.map { .list([bytes($0.offset), bytes($0.length)]) }),
                                "count": LuaValue(disk.count), "file": LuaValue(disk.exported),
                            ]))
                    }),
            ]))
    }
}
