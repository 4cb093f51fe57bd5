/// How a VM is replicated: frequency, points, compression, how the first copy is made.
///
/// Fields, defaults and limits follow the reference's table 1.10. `violations` says what is wrong with a value. Documents
/// from before a field existed read as its default.
package struct Policy: SiteObject {
    package static let kind = "policy"
    package var id: String
    package var name: String
    package var parent: String? { nil }
    /// Seconds between cycles: 30, 300 or 900.
    package var copyFrequencySeconds: Int
    /// How many recovery points are kept besides the newest, 0 to 24.
    package var recoveryPoints: Int
    /// Hours between application-consistent points, 1 to 12; nil for none.
    package var applicationConsistentHours: Int?
    /// Whether agents compress what travels where the network is what a transfer waits for.
    package var compression: Bool
    /// How agents prove to each other who they are.
    package var authentication: Authentication
    /// TCP port that the receiving agents must listen on; nil for whatever each host says.
    package var port: Int?
    package var firstCopy: FirstCopy
    /// When a scheduled first copy begins: the next time that it is so late.
    package var firstCopyTime: TimeOfDay?
    /// Folders of an offline first copy: written to at the source, read from at the target.
    package var exportPath: String?
    package var importPath: String?
    /// Whether the points go when protection ends.
    package var deleteReplica: Bool
    package var autoResync: AutoResync
    /// When an automatic resync may begin, in mode `window`.
    package var resyncWindow: DailyWindow
    /// Hours that statistics of replication are gathered for, before they begin anew.
    package var monitoringHours: Int
    /// When the first such stretch of a day begins.
    package var monitoringStart: TimeOfDay

    package enum FirstCopy: String, Codable, Sendable, CaseIterable {
        case now, scheduled, offline
    }

    package enum Authentication: String, Codable, Sendable, CaseIterable {
        /// A ticket for each transfer, over a network that is trusted.
        case ticket
        /// TLS with certificates on both sides.
        case certificate
    }

    /// Whether replication that has diverged is compared anew without being asked.
    package enum AutoResync: String, Codable, Sendable, CaseIterable {
        case off, always
        /// Only at the time of day that the policy names.
        case window
    }

    package init(
        id: String, name: String, copyFrequencySeconds: Int = 300, recoveryPoints: Int = 0,
        applicationConsistentHours: Int? = nil, compression: Bool = true, firstCopy: FirstCopy = .now
    ) {
        self.id = id
        self.name = name
        self.copyFrequencySeconds = copyFrequencySeconds
        self.recoveryPoints = recoveryPoints
        self.applicationConsistentHours = applicationConsistentHours
        self.compression = compression
        self.firstCopy = firstCopy
        authentication = .ticket
        deleteReplica = true
        autoResync = .off
        resyncWindow = Self.defaultResyncWindow
        monitoringHours = Self.defaultMonitoringHours
        monitoringStart = Self.defaultMonitoringStart
    }
}

extension Policy {
    private enum CodingKeys: String, CodingKey {
        case id, name, copyFrequencySeconds, recoveryPoints, applicationConsistentHours, compression, authentication
        case port, firstCopy, firstCopyTime, exportPath, importPath, deleteReplica, autoResync, resyncWindow
        case monitoringHours, monitoringStart
    }

    package init(from decoder: any Decoder) throws {
        let fields = try decoder.container(keyedBy: CodingKeys.self)
        self.init(
            id: try fields.decode(String.self, forKey: .id), name: try fields.decode(String.self, forKey: .name),
            copyFrequencySeconds: try fields.decode(Int.self, forKey: .copyFrequencySeconds),
            recoveryPoints: try fields.decode(Int.self, forKey: .recoveryPoints),
            applicationConsistentHours: try fields.decodeIfPresent(Int.self, forKey: .applicationConsistentHours),
            compression: try fields.decode(Bool.self, forKey: .compression),
            firstCopy: try fields.decode(FirstCopy.self, forKey: .firstCopy))
        func read<Value: Decodable>(_ key: CodingKeys, into value: inout Value) throws {
            if let found = try fields.decodeIfPresent(Value.self, forKey: key) { value = found }
        }
        try read(.authentication, into: &authentication)
        port = try fields.decodeIfPresent(Int.self, forKey: .port)
        firstCopyTime = try fields.decodeIfPresent(TimeOfDay.self, forKey: .firstCopyTime)
        exportPath = try fields.decodeIfPresent(String.self, forKey: .exportPath)
        importPath = try fields.decodeIfPresent(String.self, forKey: .importPath)
        try read(.deleteReplica, into: &deleteReplica)
        try read(.autoResync, into: &autoResync)
        try read(.resyncWindow, into: &resyncWindow)
        try read(.monitoringHours, into: &monitoringHours)
        try read(.monitoringStart, into: &monitoringStart)
    }
}
