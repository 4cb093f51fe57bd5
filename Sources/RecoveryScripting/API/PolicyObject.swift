import LuaHost
import SiteModel

/// `policy`: how VMs are replicated.
enum PolicyObject {
    static let type = TypeDeclaration(
        "policy", "How VMs are replicated. Changed by vault:policy{...}.",
        fields: [name, copyFrequency, recoveryPoints, appConsistent, compression, firstCopy], methods: [])

    static let name = FieldDeclaration(
        "name", .text, "its name", .immediate { call in [LuaValue(call.receiver.id)] })
    static let copyFrequency = field("copy_frequency", .integer, "time between cycles", .seconds) {
        LuaValue($0.copyFrequencySeconds)
    }
    static let recoveryPoints = field("recovery_points", .integer, "points kept besides the newest", .count) {
        LuaValue($0.recoveryPoints)
    }
    static let appConsistent = field(
        "app_consistent", .integer, "time between application-consistent points", .seconds, optional: true
    ) { $0.applicationConsistentHours.map { LuaValue($0 * 3600) } ?? .nil }
    static let compression = field("compression", .boolean, "whether what travels is compressed") {
        .boolean($0.compression)
    }
    static let firstCopy = field(
        "first_copy", .choice(Policy.FirstCopy.allCases.map(\.rawValue)), "when the first copy is made"
    ) { LuaValue($0.firstCopy.rawValue) }

    private static func field(
        _ name: String, _ type: ValueType, _ doc: String, _ unit: Unit? = nil, optional: Bool = false,
        _ read: @escaping @Sendable (Policy) -> LuaValue
    ) -> FieldDeclaration {
        FieldDeclaration(
            name, type, doc, unit: unit, optional: optional,
            .waiting { call in [read(try await call.session.policy(call.receiver))] })
    }
}
