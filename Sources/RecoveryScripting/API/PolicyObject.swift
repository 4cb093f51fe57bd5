import LuaHost
import RecoveryEngine
import SiteModel

/// `policy`: how VMs are replicated.
enum PolicyObject {
    static let type = TypeDeclaration(
        "policy", "How VMs are replicated. Changed by vault:policy{...}.",
        fields: [
            name, copyFrequency, recoveryPoints, appConsistent, compression, authentication, port, firstCopy,
            firstCopyTime,
            exportPath, importPath, deleteReplica, autoResync, resyncWindow, monitoringInterval, monitoringStart,
        ],
        methods: [remove])

    static let name = FieldDeclaration(
        "name", .text, "its name", .immediate { call in [LuaValue(call.receiver.id)] })
    static let copyFrequency = field("copy_frequency", .integer, "time between cycles", .seconds) {
        LuaValue($0.copyFrequencySeconds)
    }
    static let recoveryPoints = field(
        "recovery_points", .integer, "points kept besides the newest, one an hour", .count
    ) {
        LuaValue($0.recoveryPoints)
    }
    static let appConsistent = field(
        "app_consistent", .integer, "time between application-consistent points", .seconds, optional: true
    ) { $0.applicationConsistentHours.map { LuaValue($0 * 3600) } ?? .nil }
    static let compression = field("compression", .boolean, "whether what travels is compressed where that is quicker")
    {
        .boolean($0.compression)
    }
    static let firstCopy = field(
        "first_copy", .choice(Policy.FirstCopy.allCases.map(\.rawValue)), "when the first copy is made"
    ) { LuaValue($0.firstCopy.rawValue) }

    static let authentication = field(
        "authentication", .choice(Policy.Authentication.allCases.map(\.rawValue)), "how agents prove who they are"
    ) { LuaValue($0.authentication.rawValue) }
    static let port = field("port", .integer, "port that the agents must receive on", .ordinal, optional: true) {
        $0.port.map { LuaValue($0) } ?? .nil
    }
    static let firstCopyTime = field(
        "first_copy_time", .text, "time of day of a scheduled first copy", optional: true
    ) { LuaValue($0.firstCopyTime?.description) }
    static let exportPath = field(
        "export_path", .text, "folder at the source of an offline first copy", optional: true
    ) { LuaValue($0.exportPath) }
    static let importPath = field(
        "import_path", .text, "folder at the target of an offline first copy", optional: true
    ) { LuaValue($0.importPath) }
    static let deleteReplica = field("delete_replica", .boolean, "whether the points go when protection ends") {
        .boolean($0.deleteReplica)
    }
    static let autoResync = field(
        "auto_resync", .choice(Policy.AutoResync.allCases.map(\.rawValue)),
        "whether replication that has diverged is compared anew without being asked"
    ) { LuaValue($0.autoResync.rawValue) }
    static let resyncWindow = field("resync_window", .text, "when such a resync may begin, in mode window") {
        LuaValue($0.resyncWindow.description)
    }
    static let monitoringInterval = field(
        "monitoring_interval", .integer, "length of a stretch of statistics", .seconds
    ) {
        LuaValue($0.monitoringHours * 3600)
    }
    static let monitoringStart = field("monitoring_start", .text, "when the day's first stretch begins") {
        LuaValue($0.monitoringStart.description)
    }

    static let remove = FunctionDeclaration(
        "remove", "Removes this policy.",
        errors: [ErrorDeclaration("refused", "rule still-in-use: a pair or a VM has it")], effect: .changes,
        ifCutOff: .removal,
        example: "vault:policy { name = \"slow\" }:remove()",
        .waiting { call in
            try await call.session.engine.removePolicy(call.session.policy(call.receiver))
            return []
        })

    private static func field(
        _ name: String, _ type: ValueType, _ doc: String, _ unit: Unit? = nil, optional: Bool = false,
        _ read: @escaping @Sendable (Policy) -> LuaValue
    ) -> FieldDeclaration {
        FieldDeclaration(
            name, type, doc, unit: unit, optional: optional,
            .waiting { call in [read(try await call.session.policy(call.receiver))] })
    }
}
