// What a VM keeps outside its disks: UEFI variables and the state of an emulated TPM.

package import Foundation

/// Where a VM's firmware state lies at its host, as its definition says.
package struct FirmwarePlace: Codable, Hashable, Sendable {
    package var vmUUID: String
    /// Path of the file with the UEFI variables; nil for a VM without.
    package var nvram: String?
    /// Whether it has an emulated TPM, whose state libvirt keeps by the VM's UUID.
    package var hasTPM: Bool
    /// Whether it runs: then all of that must be there.
    ///
    /// One that never ran has none yet.
    package var isRunning: Bool

    package init(vmUUID: String, nvram: String?, hasTPM: Bool, isRunning: Bool) {
        self.vmUUID = vmUUID
        self.nvram = nvram
        self.hasTPM = hasTPM
        self.isRunning = isRunning
    }
}

/// One file of a firmware's state.
///
/// A TPM's state holds keys: nothing prints it.
package struct FirmwareFile: Codable, Hashable, Sendable, CustomStringConvertible, CustomReflectable {
    /// "nvram", or below "tpm/" the file's place in the TPM's folder.
    package var name: String
    /// Bytes of the file.
    package var size: Int
    /// XXH3-128 of the content, in hexadecimal.
    package var checksum: String
    /// The content as zstd frames of at most 1 MiB each.
    package var packed: [Data]

    package init(name: String, size: Int, checksum: String, packed: [Data]) {
        self.name = name
        self.size = size
        self.checksum = checksum
        self.packed = packed
    }

    package var description: String { "\(name) (\(size) bytes)" }
    package var customMirror: Mirror { Mirror(self, children: ["name": name, "size": size]) }
}

/// All that a VM keeps outside its disks, at one instant.
package struct FirmwareState: Codable, Hashable, Sendable {
    /// The largest file that is taken: aarch64 keeps its UEFI variables in one of 64 MiB.
    package static let largestFile = 64 << 20
    /// The most that all files may come to: they are unpacked in memory.
    package static let largestTotal = 96 << 20
    /// The most that it may come to packed; it travels in one message with the point's definition.
    package static let largestPacked = 1 << 20
    package static let mostFiles = 32

    package var files: [FirmwareFile]

    package init(files: [FirmwareFile]) { self.files = files }
}

/// Asks for a point's firmware state to be laid down for a VM of this host, which is off.
package struct FirmwarePlacement: Codable, Hashable, Sendable {
    package var relationship: String
    package var generation: String
    /// The VM that it is for: the replica, or a test VM with a UUID of its own.
    package var vmUUID: String
    /// Only looks whether it could be: nothing is laid down.
    package var onlyChecks: Bool?

    package init(relationship: String, generation: String, vmUUID: String, onlyChecks: Bool? = nil) {
        self.onlyChecks = onlyChecks
        self.relationship = relationship
        self.generation = generation
        self.vmUUID = vmUUID
    }
}

/// What was laid down.
package struct PlacedFirmware: Codable, Hashable, Sendable {
    /// Path of the file with the UEFI variables, for the VM's definition; nil when the point has none.
    package var nvram: String?
    /// Whether the point has a TPM's state.
    package var hasTPM: Bool

    package init(nvram: String? = nil, hasTPM: Bool = false) {
        self.nvram = nvram
        self.hasTPM = hasTPM
    }
}

extension Agent {
    package func firmware(_ place: FirmwarePlace) async throws -> FirmwareState { throw Self.noFirmware }

    package func placeFirmware(_ request: FirmwarePlacement) async throws -> PlacedFirmware { throw Self.noFirmware }

    private static var noFirmware: ReplicationError {
        ReplicationError(
            .unsupported, "this agent keeps no firmware state", hint: "run the same version of perilune at both hosts")
    }
}
