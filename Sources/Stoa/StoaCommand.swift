// The command line: one command for each thing that a person does with an installation. Work is in Commands/; here is the list.
import ArgumentParser
import Foundation
import Logging

/// `stoa`.
@main
struct StoaCommand: AsyncParsableCommand {
    /// Of the program and of its interface: the one in openapi.yaml.
    static let version = "1"

    static let configuration = CommandConfiguration(
        commandName: "stoa",
        abstract: "A city's identity, payments, consent and access log in one service.",
        discussion: """
            Start with `stoa demo`: it needs nothing but PostgreSQL's programs and serves a small city.
            Settings are read from config/stoa.yaml, from the environment (STOA_…), and from options, the later winning.
            Exit status: 0 done; 1 something was found or refused, which is said; 64 the command was not understood.
            """,
        version: version,
        subcommands: [
            DemoCommand.self, ServeCommand.self, MigrateCommand.self, ImportCommand.self, BankAccountCommand.self, PaymentProviderCommand.self, StaffCommand.self, OrganisationCommand.self,
            EraseCommand.self, GuardianshipCommand.self, PayoutsCommand.self, VerifyCommand.self, LedgerCommand.self, LogCommand.self, WitnessCommand.self, DatabaseCommand.self,
        ])
}

/// Options that every command takes.
struct CommonOptions: ParsableArguments {
    @Option(name: .long, help: "The settings file.") var config: String?
    @Option(name: .long, help: "The data directory (default: .stoa, or STOA_DATA).") var data: String?

    func load(_ more: [String: String] = [:]) async throws -> StoaConfiguration {
        var overrides = more
        if let data { overrides[StoaConfiguration.Key.dataDirectory.key] = data }
        return try await StoaConfiguration.load(file: config, overrides: overrides)
    }
}

/// Tells a person at a terminal, apart from results: on standard error.
let sayToPerson: Say = { FileHandle.standardError.write(Data(($0 + "\n").utf8)) }

extension StoaConfiguration {
    /// The log of the process: one JSON line each on standard output for requests, plain lines on standard error for events.
    func makeLogger() -> Logger {
        var logger = Logger(label: "stoa", factory: { StreamLogHandler.standardError(label: $0) })
        logger.logLevel = logLevel
        return logger
    }
}
