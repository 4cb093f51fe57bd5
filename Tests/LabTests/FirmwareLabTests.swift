import BlockReplication
import Foundation
import Hypervisors
import Lab
import RecoveryEngine
import SiteModel
import TestSupport
import Testing
import VaultStore

private let code = "/usr/share/OVMF/OVMF_CODE_4M.fd"
private let hasFirmware = FileManager.default.fileExists(atPath: code)

/// A VM with UEFI firmware and an emulated TPM, under real libvirt, QEMU, OVMF and swtpm.
///
/// The firmware itself writes its variables. A mark in their file, where the firmware writes nothing, and what is lasting in the
/// TPM's state, its seeds and certificates, tell at every place whether the VM runs with its own.
@Suite(
    "A UEFI VM with a TPM", .serialized, .enabled(if: mayMakeLabs, "the lab needs root"),
    .enabled(if: hasFirmware, "OVMF and swtpm come with scripts/setup"))
struct FirmwareLabTests {
    private static let template = "/usr/share/OVMF/OVMF_VARS_4M.fd"
    private static let uuid = "5f7e2f7e-6b50-4e33-9d5c-1f2b9a3d6c11"
    /// What 512 bytes of the event log, which OVMF does not use, are filled with in the file of the VM's own variables.
    private static let mark = String(repeating: "a7", count: 512)

    @Test("It fails over, back by undo, over again and home by reverse, always with its own variables and its own TPM")
    func travels() async throws {
        let vm = LabGuest(name: "uefi", address: "10.77.0.50")
        try await RecoveryLab.with("firmware", guests: []) { site in
            let image = "\(site.lab.layout(of: .a).images)/uefi-vda.qcow2"
            try site.run(at: .a, ["qemu-img", "create", "-q", "-f", "qcow2", image, "32M"])
            let virsh = ["virsh", "--connect", site.lab.layout(of: .a).libvirtURI]
            let file = "\(site.lab.layout(of: .a).domains)/uefi.xml"
            try Self.domain(image).write(toFile: file, atomically: true, encoding: .utf8)
            try output(of: virsh + ["define", file])
            try output(of: virsh + ["start", vm.name])
            let own = try await nvram(site, .a)
            try await until("the firmware has written its variables", within: .seconds(400)) {
                try Program.run(site.lab.entry(to: .a) + ["cmp", "-s", own, Self.template]).status == 1
            }
            try output(of: virsh + ["destroy", vm.name])
            try site.run(at: .a, ["qemu-io", "-f", "raw", "-c", "write -P 0xa7 262144 512", own])
            try output(of: virsh + ["start", vm.name])

            _ = try await site.engine.replicate(
                vm: vm.name, from: site.hostA, to: site.hostB, policy: site.policy, networks: [:])
            _ = try await site.perform(.sync, on: vm)
            let seeds = try lasting(site, .a)
            #expect(seeds.count > 20)

            _ = try await site.perform(.unplannedFailover, on: vm, ["shutdown_limit": "1"])
            try await expectOwn(site, .b, seeds)
            _ = try await site.perform(.undo, on: vm)
            try await expectOwn(site, .a, seeds)
            #expect(try await nvram(site, .a) == own, "an undo leaves the source's own files in use")

            _ = try await site.perform(.testFailover, on: vm, [:])
            let test = try #require(try await site.relationship(vm).test)
            let tested = try await site.engine.hosts.hypervisor(site.hostB.id).inactiveXML(uuid: test.vmUUID)
            let copy = try #require(try DomainDefinition(xml: tested).nvramPath)
            #expect(try end(of: copy, site, .b) == Self.mark)
            _ = try await site.perform(.cleanUpTest, on: vm)
            #expect(
                try Program.run(site.lab.entry(to: .b) + ["test", "-e", copy]).status != 0, "it goes with the test")

            _ = try await site.perform(.sync, on: vm)
            _ = try await site.perform(.unplannedFailover, on: vm, ["shutdown_limit": "1"])
            _ = try await site.perform(.commit, on: vm)
            _ = try await site.perform(.reverse, on: vm)
            _ = try await site.perform(.unplannedFailover, on: vm, ["shutdown_limit": "1"])
            try await expectOwn(site, .a, seeds)
        }
    }

    private func expectOwn(_ site: RecoveryLab, _ at: SiteName, _ seeds: Set<String>) async throws {
        let host = at == .a ? site.hostA : site.hostB
        #expect(try await site.engine.hosts.hypervisor(host.id).domain(uuid: Self.uuid)?.power == .running)
        let path = try await nvram(site, at)
        #expect(try end(of: path, site, at) == Self.mark, "the variables at site \(at)")
        let here = try lasting(site, at)
        let kept = seeds.intersection(here).count
        print("firmware: \(kept) of \(seeds.count) pieces of the TPM's state are at site \(at.rawValue)")
        #expect(kept * 10 >= seeds.count * 8, "a fresh TPM has seeds and certificates of its own")
    }

    private func nvram(_ site: RecoveryLab, _ at: SiteName) async throws -> String {
        let host = at == .a ? site.hostA : site.hostB
        let xml = try await site.engine.hosts.hypervisor(host.id).inactiveXML(uuid: Self.uuid)
        return try #require(try DomainDefinition(xml: xml).nvramPath)
    }

    private func end(of path: String, _ site: RecoveryLab, _ at: SiteName) throws -> String {
        try hexadecimal(path, site, at, skip: ["-s", "262144", "-l", "512"]).joined()
    }

    private func hexadecimal(
        _ path: String, _ site: RecoveryLab, _ at: SiteName, skip: [String] = []
    ) throws -> [Substring] {
        try site.run(at: at, ["xxd", "-p", "-c", "1"] + skip + [path]).split(whereSeparator: \.isNewline)
    }

    /// The TPM's state in pieces of 32 bytes, those of few values left out.
    private func lasting(_ site: RecoveryLab, _ at: SiteName) throws -> Set<String> {
        let bytes = try hexadecimal("/var/lib/libvirt/swtpm/\(Self.uuid)/tpm2/tpm2-00.permall", site, at)
        var pieces: Set<String> = []
        for index in bytes.indices.dropLast(31) {
            let piece = bytes[index..<index + 32]
            if Set(piece).count > 20 { pieces.insert(piece.joined()) }
        }
        return pieces
    }

    private static func domain(_ image: String) -> String {
        """
        <domain type='qemu'>
          <name>uefi</name>
          <uuid>\(uuid)</uuid>
          <memory unit='MiB'>128</memory>
          <vcpu>1</vcpu>
          <os>
            <type arch='x86_64' machine='pc'>hvm</type>
            <loader readonly='yes' type='pflash'>\(code)</loader>
            <nvram template='\(template)'/>
          </os>
          <features><acpi/></features>
          <cpu mode='custom' match='exact'><model fallback='allow'>qemu64</model></cpu>
          <on_poweroff>destroy</on_poweroff>
          <devices>
            <emulator>/usr/bin/qemu-system-x86_64</emulator>
            <disk type='file' device='disk'>
              <driver name='qemu' type='qcow2' cache='none'/>
              <source file='\(image)'/>
              <target dev='vda' bus='virtio'/>
            </disk>
            <tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>
            <controller type='usb' model='none'/>
            <memballoon model='none'/>
          </devices>
        </domain>
        """
    }
}
