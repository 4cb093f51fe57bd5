internal import Foundation

/// A point's file with what its VM keeps outside its disks.
package struct FirmwareRecord: Codable, Sendable, Equatable {
    package var file: String
    /// XXH3-128 of the file.
    package var checksum: String
    package var bytes: Int
}

extension PointStore {
    /// Writes what goes with a draft; nil when there is nothing.
    func write(_ state: FirmwareState?, of generation: String) throws -> FirmwareRecord? {
        guard let state = try state?.checked(), !state.files.isEmpty else { return nil }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        let data = try encoder.encode(state)
        let name = StoreNames.firmware(generation)
        try directory.write(name, data)
        try hook(.domainWritten)
        return FirmwareRecord(file: name, checksum: Self.checksum(data), bytes: data.count)
    }

    /// What a point's VM kept outside its disks; nil when it kept nothing, or an older version made the point.
    ///
    /// `.damaged` when the file is not what was written.
    package func firmware(_ generation: String) throws -> FirmwareState? {
        guard let record = try requirePoint(generation).firmware else { return nil }
        let data = try directory.read(record.file, limit: 8 << 20)
        guard Self.checksum(data) == record.checksum,
            let state = try? JSONDecoder().decode(FirmwareState.self, from: data)
        else {
            throw ReplicationError(
                .damaged, "the firmware state of point \(generation) is not what was written",
                hint: "take another point: the VM would start with other UEFI variables or another TPM",
                context: ["path": directory.path(record.file)])
        }
        return try state.checked()
    }

    private static func checksum(_ data: Data) -> String {
        let running = RunningChecksum()
        data.withUnsafeBytes { running.update($0) }
        return running.value.hexadecimal
    }
}
