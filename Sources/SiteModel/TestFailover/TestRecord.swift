/// A test VM: a copy that runs beside production and is thrown away.
///
/// The record is in the vault before anything of the test is made, and goes only after all of it is gone: nothing of a
/// test can be forgotten.
package struct TestRecord: Codable, Hashable, Sendable {
    package var vmName: String
    package var vmUUID: String
    /// Generation of the point that it runs from; pinned while the test lasts.
    package var generation: String
    package var startedAt: Timestamp
    /// Number of that point.
    package var point: Int?
    /// The run that asked for it and whose end ends it; nil when nobody's end does.
    package var run: String?
    /// When it is cleaned up at the latest; nil in records of older versions, which count from their start.
    package var deadline: Timestamp?
    /// Networks that were made for it and go with it.
    package var networks: [CreatedNetwork]?
    package var nics: [PlacedNIC]?
    package var notes: String?
    /// Bytes that it may write, as estimated before.
    package var scratchBytes: UInt64?
    /// How production stood before the test.
    package var before: ProductionFacts?
    /// It came up; one that did not is no test that could pass.
    package var isUp: Bool?

    package init(vmName: String, vmUUID: String, generation: String, startedAt: Timestamp) {
        self.vmName = vmName
        self.vmUUID = vmUUID
        self.generation = generation
        self.startedAt = startedAt
    }

    /// Seconds that a test lasts unless told otherwise: two weeks (reference 5.2).
    package static let longest = 14 * 86_400.0

    /// When it is cleaned up at the latest.
    package var endsAt: Timestamp { deadline ?? startedAt.advanced(bySeconds: Self.longest) }
}

/// A network that exists for a test alone.
package struct CreatedNetwork: Codable, Hashable, Sendable {
    package var name: String
    package var bridge: String
    /// Name of the VM's network that it stands for.
    package var stands: String

    package init(name: String, bridge: String, stands: String) {
        self.name = name
        self.bridge = bridge
        self.stands = stands
    }
}

/// One NIC of a VM as a test or a failover has placed it.
package struct PlacedNIC: Codable, Hashable, Sendable {
    /// The hardware address that the VM itself knows, and the one that it has here (another only in a test).
    package var original: String
    package var mac: String
    /// Network that it is connected to; nil for none.
    package var network: String?
    /// The address that its guest is told to take; nil where it is told none.
    package var address: AssignedAddress?
    /// Whether it is told to ask a DHCP server.
    package var dhcp: Bool

    package init(
        original: String, mac: String, network: String?, address: AssignedAddress? = nil, dhcp: Bool = false
    ) {
        self.original = original
        self.mac = mac
        self.network = network
        self.address = address
        self.dhcp = dhcp
    }

    /// Hardware address of a test VM's NIC: QEMU's own prefix, then figures of the test VM's UUID and the NIC's place.
    ///
    /// The VM's own address would meet the VM where both are in one network.
    package static func mac(test uuid: String, index: Int) -> String {
        let digits = uuid.filter(\.isHexDigit)
        let seed = digits.unicodeScalars.reduce(UInt32(2_166_136_261)) { ($0 ^ $1.value) &* 16_777_619 }
        let tail = (seed &+ UInt32(truncatingIfNeeded: index)) & 0xff_ffff
        let bytes = [0x52, 0x54, 0x00, tail >> 16 & 0xff, tail >> 8 & 0xff, tail & 0xff]
        return bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: ":")
    }
}

/// What ended a test.
package enum TestEnd: String, Codable, Hashable, Sendable, CaseIterable {
    case command, deadline
    /// The script's run that asked for it ended.
    case runEnded = "run-ended"
    /// It could not be made.
    case failed
}

/// What a test came to: kept after all of it is gone.
package struct TestReport: Codable, Hashable, Sendable {
    package var vmName: String
    package var point: Int?
    package var startedAt: Timestamp
    package var endedAt: Timestamp
    package var end: TestEnd
    /// The test VM came up, and all of the test was cleaned up again.
    package var passed: Bool
    /// What of production was not as before, each as one sentence; empty when nothing.
    package var differences: [String]
    /// What of production could not be compared, each as one sentence; nil when all was seen.
    package var unseen: [String]?
    package var notes: String?

    package init(
        vmName: String, point: Int?, startedAt: Timestamp, endedAt: Timestamp, end: TestEnd, passed: Bool,
        differences: [String], notes: String?
    ) {
        self.vmName = vmName
        self.point = point
        self.startedAt = startedAt
        self.endedAt = endedAt
        self.end = end
        self.passed = passed
        self.differences = differences
        self.notes = notes
    }
}
