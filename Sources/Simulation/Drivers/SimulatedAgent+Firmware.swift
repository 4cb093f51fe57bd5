package import BlockReplication
internal import SiteModel

/// What VMs keep outside their disks: kept at hosts by the VM's UUID, and with each point.
extension SimulatedAgent {
    package func firmware(_ place: FirmwarePlace) async throws -> FirmwareState {
        try await act("firmware", place.vmUUID) { state, _ in
            state.hosts[host]?.firmware[place.vmUUID] ?? FirmwareState(files: [])
        }
    }

    package func placeFirmware(_ request: FirmwarePlacement) async throws -> PlacedFirmware {
        try await actOnStore("place-firmware", request.relationship) { store, state, _ in
            guard let point = store.point(request.generation) else { throw noPoint(request.generation) }
            guard let firmware = point.firmware, request.onlyChecks != true else { return PlacedFirmware() }
            state.hosts[host]?.firmware[request.vmUUID] = firmware
            let hasNVRAM = firmware.files.contains { $0.name == "nvram" }
            return PlacedFirmware(
                nvram: hasNVRAM ? "/var/lib/libvirt/qemu/nvram/perilune-\(request.vmUUID)_VARS.fd" : nil,
                hasTPM: firmware.files.contains { $0.name.hasPrefix("tpm/") })
        }
    }
}
