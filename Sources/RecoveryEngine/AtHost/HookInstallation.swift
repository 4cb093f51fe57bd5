import Foundation

/// Puts the start guard in libvirt's way: a hook script of its own in `hooks/qemu.d`, beside whatever else is there.
///
/// libvirt (6.5 and later) runs `hooks/qemu` and then each program of `hooks/qemu.d`, by name; any that fails at `prepare` keeps
/// the VM from starting. It looks for hooks when it starts: a libvirtd that ran without any must be started anew once.
package struct HookInstallation: Sendable {
    package var libvirtRoot: String
    package var program: String
    package var store: String
    package var runtime: String

    package init(libvirtRoot: String, program: String, store: String, runtime: String) {
        self.libvirtRoot = libvirtRoot
        self.program = program
        self.store = store
        self.runtime = runtime
    }

    package var path: String { StartHook.path(in: libvirtRoot) }

    /// Writes the hook; one that is there already is replaced whole.
    ///
    /// - Returns: whether libvirt had a `qemu` hook before, and so runs this one without being started anew.
    package func install() throws -> Bool {
        for value in [libvirtRoot, program, store, runtime] where !value.hasPrefix("/") {
            throw EngineError(.invalid, "\(value) is no absolute path", hint: "give the whole path")
        }
        let files = FileManager.default
        let folder = "\(libvirtRoot)/hooks/qemu.d"
        let hadHooks =
            files.fileExists(atPath: "\(libvirtRoot)/hooks/qemu")
            || ((try? files.contentsOfDirectory(atPath: folder)) ?? []).isEmpty == false
        do {
            try files.createDirectory(
                atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o755])
            let draft = "\(libvirtRoot)/hooks/.\(StartHook.name).new"
            try Data(script.utf8).write(to: URL(filePath: draft))
            try files.setAttributes([.posixPermissions: 0o755], ofItemAtPath: draft)
            guard rename(draft, path) == 0 else { throw CocoaError(.fileWriteUnknown) }
        } catch {
            throw EngineError(
                .failed, "the hook \(path) cannot be written",
                hint: "run as root; check that \(libvirtRoot) is libvirt's configuration folder", cause: error)
        }
        return hadHooks
    }

    /// Most events concern nobody here, so a shell looks first.
    ///
    /// Should the program be gone, VMs that were never protected still start: they do not name the record's namespace.
    private var script: String {
        """
        #!/bin/sh
        # Written by `perilune agent install-hook`: refuses to start a protected VM that this host does not own.
        [ "$2" = prepare ] || exit 0
        program=\(StartHook.quoted(program))
        if [ ! -x "$program" ]; then
            grep -q 'perilune.dev/ownership' || exit 0
            echo "perilune: $1 is protected, and $program, which decides whether it may start, is not there" >&2
            exit 1
        fi
        exec "$program" agent hook \(StartHook.options(store: store, runtime: runtime))"$1" "$2"

        """
    }
}
