// `stoa staff`: the first caseworker of a city, and every later one; and what is done when one has lost what they sign in with.
public import ArgumentParser
import Foundation
import Identity
import Postgres
import Primitives
public import Web

/// `stoa staff …`
struct StaffCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "staff", abstract: "Staff accounts.", subcommands: [StaffCreateCommand.self, StaffForgetFactorsCommand.self])
}

extension StaffRole: ExpressibleByArgument {}

/// `stoa staff create`
struct StaffCreateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create", abstract: "Makes a staff account.",
        discussion: "The password is read from standard input, so that it stands in no list of processes and no history. Example: stoa staff create --username g.hopper --name \"Grace Hopper\" --role caseworker")

    @OptionGroup var common: CommonOptions
    @Option(help: "The user name to sign in with.") var username: String
    @Option(help: "The name that colleagues and letters show.") var name: String
    @Option(help: "caseworker, approver, finance_officer, auditor or organisation_administrator; may be given more than once.") var role: [StaffRole]
    @Option(help: "The code of their own record in the register; a colleague who opens it becomes a task for an auditor.") var ownCode: String?

    func run() async throws {
        let configuration = try await common.load()
        let logger = configuration.makeLogger()
        if isatty(STDIN_FILENO) == 1 { sayToPerson("Password for \(username), then Return:") }
        guard let password = readLine(strippingNewline: true), !password.isEmpty else { throw SetupError("No password came on standard input.") }
        let staff = NewStaff(
            username: username, name: name, password: Redacted(password), roles: Set(role), language: configuration.city.language,
            ownCode: try ownCode.map { try PublicCode.parse($0) })
        try await Installation.with(configuration, creatingData: true, say: sayToPerson) { installation in
            try await installation.migrate()
            let keys = try await installation.withPool(.app, logger: logger) {
                try await KeyRing.open(configuration, data: installation.data, database: $0, say: sayToPerson)
            }
            try await installation.withPool(.owner, logger: logger) { owner in
                let passwords = try PasswordHasher(cost: configuration.passwords, threadCount: 1)
                let rules = try PasswordRules(rootDirectory: configuration.rootDirectory)
                _ = try await StaffAdministration(owner: owner, passwords: passwords, lookup: keys.lookup, rules: rules).create(staff)
            }
        }
        print("\(username) can sign in now.")
    }
}

/// `stoa staff forget-factors`
struct StaffForgetFactorsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "forget-factors", abstract: "Takes all second factors of a member of staff away, who has lost them.",
        discussion: "Their sessions end too. At the next sign-in they need the password alone and, unless identity.staff_second_factor is when_asked, make a new factor at once: make sure who asks.")

    @OptionGroup var common: CommonOptions
    @Option(help: "The user name that they sign in with.") var username: String

    func run() async throws {
        let configuration = try await common.load()
        let logger = configuration.makeLogger()
        let username = self.username
        try await Installation.with(configuration, creatingData: false, say: sayToPerson) { installation in
            try await installation.migrate()
            try await installation.withPool(.owner, logger: logger) { try await StaffAdministration.forgetFactors(of: username, owner: $0) }
        }
        print("\(username) has no second factor any more and is signed out.")
    }
}
