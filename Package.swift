// swift-tools-version: 6.2
import PackageDescription

/// One strictness for every target: a warning never reaches the main branch.
let strict: [SwiftSetting] = [
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
]

let package = Package(
    name: "perilune",
    products: [
        .library(name: "LuaHost", targets: ["LuaHost"]),
        .executable(name: "perilune", targets: ["perilune"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/swiftlang/swift-subprocess", from: "1.0.2"),
        .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
    ],
    targets: [
        // System libraries, each with the Debian package that provides it.
        .systemLibrary(name: "CLua", pkgConfig: "lua5.4", providers: [.apt(["liblua5.4-dev"])]),
        .systemLibrary(name: "CLibvirt", pkgConfig: "libvirt", providers: [.apt(["libvirt-dev"])]),
        .systemLibrary(name: "CNBD", pkgConfig: "libnbd", providers: [.apt(["libnbd-dev"])]),
        .systemLibrary(name: "CXXHash", pkgConfig: "libxxhash", providers: [.apt(["libxxhash-dev"])]),
        .systemLibrary(name: "CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"])]),
        .systemLibrary(name: "CEdit", pkgConfig: "libedit", providers: [.apt(["libedit-dev"])]),
        .systemLibrary(name: "COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),

        // Lua in Swift; knows nothing of recovery.
        .target(name: "CLuaShim", dependencies: ["CLua"]),
        .target(name: "LuaHost", dependencies: ["CLuaShim"], swiftSettings: strict),

        // How benchmarks measure and print: a figure beside its peer, with goal and bound.
        .target(name: "BenchFigures", swiftSettings: strict),

        // Figures of LuaHost beside the same work done in C against lua.h: `scripts/bench lua`.
        .target(name: "CLuaYardstick", dependencies: ["CLua"]),
        .executableTarget(
            name: "luahost-bench", dependencies: ["BenchFigures", "LuaHost", "CLuaYardstick"], swiftSettings: strict),

        // The core: values and rules, then the parts that act.
        .target(name: "SiteModel", swiftSettings: strict),
        .target(
            name: "VaultStore",
            dependencies: ["SiteModel", .product(name: "GRDB", package: "GRDB.swift")],
            swiftSettings: strict),
        .target(name: "Hypervisors", dependencies: ["SiteModel", "CLibvirt"], swiftSettings: strict),
        .target(
            name: "BlockReplication",
            dependencies: [
                "SiteModel", "CNBD", "CXXHash", "CZstd", "COpenSSL",
                .product(name: "Subprocess", package: "swift-subprocess"),
            ],
            swiftSettings: strict),
        // The data path beside dd, nbdcopy, qemu-nbd, rsync and libvirt's bare calls: `scripts/bench replication`.
        .executableTarget(
            name: "replication-bench",
            dependencies: [
                "BenchFigures", "RecoveryEngine", "BlockReplication", "Hypervisors", "SiteModel", "CLibvirt", "CNBD",
            ],
            swiftSettings: strict),
        .target(
            name: "RecoveryEngine",
            dependencies: [
                "SiteModel", "VaultStore", "Hypervisors", "BlockReplication", "COpenSSL",
                .product(name: "Subprocess", package: "swift-subprocess"),
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            swiftSettings: strict),
        // A second stand-in for hypervisors and agents at once: docs/decisions/0007.
        .target(
            name: "Simulation",
            dependencies: ["SiteModel", "VaultStore", "Hypervisors", "BlockReplication", "RecoveryEngine"],
            swiftSettings: strict),
        .executableTarget(
            name: "model-bench",
            dependencies: [
                "BenchFigures", "Simulation", "RecoveryEngine", "SiteModel", "VaultStore", "Hypervisors",
                "BlockReplication",
            ],
            swiftSettings: strict),
        .target(
            name: "RecoveryScripting",
            dependencies: [
                "LuaHost", "RecoveryEngine", "SiteModel", "VaultStore", "Hypervisors", "BlockReplication",
                .product(name: "Subprocess", package: "swift-subprocess"),
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            swiftSettings: strict),

        // Scripts on simulated sites: nothing real is reached.
        .target(
            name: "Rehearsal",
            dependencies: ["RecoveryScripting", "RecoveryEngine", "Simulation", "SiteModel", "VaultStore", "LuaHost"],
            swiftSettings: strict),

        // The lab and the command line.
        .target(
            name: "Lab",
            dependencies: [.product(name: "Subprocess", package: "swift-subprocess")],
            swiftSettings: strict),
        .executableTarget(
            name: "perilune",
            dependencies: [
                "RecoveryScripting", "RecoveryEngine", "BlockReplication", "Hypervisors", "VaultStore", "SiteModel",
                "Simulation", "Rehearsal", "LuaHost", "Lab", "CEdit",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: strict),

        .testTarget(
            name: "LuaHostTests", dependencies: ["LuaHost", "CLuaProbe", "CLuaShim"], exclude: ["Corpus"],
            swiftSettings: strict),
        // Reaches into the shim for tests: failing allocations, leaks, Lua's own libraries. In no product.
        .target(
            name: "CLuaProbe", dependencies: ["CLuaShim", "CLua"], path: "Tests/CLuaProbe",
            cSettings: [.headerSearchPath("../../Sources/CLuaShim")]),
        .testTarget(name: "SiteModelTests", dependencies: ["SiteModel"], swiftSettings: strict),
        .testTarget(name: "VaultStoreTests", dependencies: ["VaultStore", "TestSupport"], swiftSettings: strict),
        .testTarget(name: "HypervisorsTests", dependencies: ["Hypervisors", "TestSupport"], swiftSettings: strict),
        .testTarget(
            name: "BlockReplicationTests", dependencies: ["BlockReplication", "TestSupport"], swiftSettings: strict),
        .testTarget(
            name: "RecoveryEngineTests",
            dependencies: [
                "RecoveryEngine", "SiteModel", "VaultStore", "Hypervisors", "BlockReplication", "TestSupport",
            ],
            swiftSettings: strict),
        // Programs that tests start, and folders for what tests write.
        .target(name: "TestSupport", path: "Tests/TestSupport", swiftSettings: strict),
        // What both drivers are held to: a library, because tests of two targets run it.
        .target(
            name: "DriverContract", dependencies: ["SiteModel", "Hypervisors", "BlockReplication"],
            swiftSettings: strict),
        .testTarget(
            name: "SimulationTests",
            dependencies: [
                "Simulation", "DriverContract", "RecoveryEngine", "SiteModel", "VaultStore", "Hypervisors",
                "BlockReplication",
            ],
            swiftSettings: strict),
        .testTarget(
            name: "RecoveryScriptingTests",
            dependencies: [
                "RecoveryScripting", "RecoveryEngine", "LuaHost", "SiteModel", "VaultStore", "Hypervisors",
                "BlockReplication", "TestSupport",
            ],
            swiftSettings: strict),
        .testTarget(
            name: "RehearsalTests",
            dependencies: [
                "Rehearsal", "RecoveryScripting", "RecoveryEngine", "Simulation", "LuaHost", "SiteModel", "VaultStore",
                "TestSupport",
            ],
            swiftSettings: strict),
        .testTarget(
            name: "LabTests",
            dependencies: [
                "Lab", "RecoveryEngine", "BlockReplication", "Hypervisors", "VaultStore", "SiteModel",
                "DriverContract", "TestSupport",
                // Sites run the program as their agents, and some tests run it as another engine.
                "perilune",
            ],
            swiftSettings: strict),
    ]
)

// LuaHost alone, without the packages that only the engine needs: quick enough to be built again for each sanitizer.
// `scripts/test lua` sets this, and keeps what it builds in a place of its own.
if Context.environment["PERILUNE_PRODUCT"] == "Simulation" {
    // The recovery model without Lua, lab and command line: what `scripts/soak` builds.
    let own: Set = [
        "CLibvirt", "CNBD", "CXXHash", "COpenSSL", "SiteModel", "VaultStore", "Hypervisors", "BlockReplication",
        "RecoveryEngine", "Simulation", "DriverContract", "SimulationTests",
    ]
    package.targets.removeAll { !own.contains($0.name) }
    package.products.removeAll()
} else if Context.environment["PERILUNE_PRODUCT"] == "LuaHost" {
    let own: Set = [
        "BenchFigures", "CLua", "CLuaShim", "CLuaProbe", "LuaHost", "CLuaYardstick", "luahost-bench", "LuaHostTests",
    ]
    package.targets.removeAll { !own.contains($0.name) }
    package.products.removeAll { $0.name != "LuaHost" }
    package.dependencies = []
}
