import Foundation
import Lab

/// A VM without a guest: a real QEMU under libvirt whose processor halts at its first instruction.
///
/// Its disks are written from outside, through its own virtio devices (`VirtioBlocks`), by somebody who so knows every write
/// and their order. QEMU's qtest socket, which drives the devices, lies in the site's /run/libvirt.
struct BareMachine: Sendable {
    let name: String
    /// In the order of the devices: vda, vdb.
    let diskBytes: [Int]

    var targets: [String] { diskBytes.indices.map { "vd\("ab"[$0])" } }

    func file(_ disk: Int, at site: SiteLayout) -> String { "\(site.images)/\(name)-\(targets[disk]).qcow2" }

    /// Where the machine's devices are driven from, as others than the site see it.
    func socket(at site: SiteLayout) -> String { "\(site.run)/\(name).qtest" }

    static func firmware(in root: String) -> String { "\(root)/guest/halt.rom" }

    /// Writes the firmware: at the reset vector, interrupts off and halt.
    static func installFirmware(in root: String) throws {
        var rom = [UInt8](repeating: 0xF4, count: 64 << 10)
        rom.replaceSubrange(0xFFF0..<0xFFF4, with: [0xFA, 0xF4, 0xEB, 0xFD])
        try Data(rom).write(to: URL(filePath: firmware(in: root)))
    }

    func domainXML(at site: SiteLayout, root: String) -> String {
        let disks = targets.indices.map { index in
            """
                <disk type='file' device='disk'>
                  <driver name='qemu' type='qcow2' cache='none' discard='unmap'/>
                  <source file='\(file(index, at: site))'/>
                  <target dev='\(targets[index])' bus='virtio'/>
                </disk>
            """
        }
        return """
            <domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
              <name>\(name)</name>
              <memory unit='MiB'>16</memory>
              <vcpu>1</vcpu>
              <os>
                <type arch='x86_64' machine='pc'>hvm</type>
                <loader readonly='yes' type='rom'>\(Self.firmware(in: root))</loader>
              </os>
              <features><tcg><tb-cache unit='MiB'>32</tb-cache></tcg></features>
              <cpu mode='custom' match='exact'><model fallback='allow'>qemu64</model></cpu>
              <clock offset='utc'/>
              <on_poweroff>destroy</on_poweroff>
              <on_reboot>destroy</on_reboot>
              <on_crash>destroy</on_crash>
              <devices>
                <emulator>/usr/bin/qemu-system-x86_64</emulator>
            \(disks.joined(separator: "\n"))
                <controller type='usb' model='none'/>
                <memballoon model='none'/>
              </devices>
              <qemu:commandline>
                <qemu:arg value='-qtest'/>
                <qemu:arg value='unix:/run/libvirt/\(name).qtest,server=on,wait=off'/>
                <qemu:arg value='-qtest-log'/>
                <qemu:arg value='none'/>
              </qemu:commandline>
            </domain>

            """
    }
}

extension String {
    fileprivate subscript(_ index: Int) -> Character { self[self.index(startIndex, offsetBy: index)] }
}
