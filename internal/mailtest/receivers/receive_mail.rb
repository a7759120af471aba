# Rails with Action Mailbox: its ingresses for a relay, Postmark, Mailgun and SendGrid.
require "rails"
require "active_record/railtie"
require "active_storage/engine"
require "active_job/railtie"
require "action_controller/railtie"
require "action_mailbox/engine"
require "digest"
require "json"
require "tmpdir"
require "webrick"
require "rack/handler/webrick"

ENV["DATABASE_URL"] = "sqlite3:#{Dir.mktmpdir}/app.sqlite3"
ENV["RAILS_INBOUND_EMAIL_PASSWORD"] = "password"
ENV["MAILGUN_INGRESS_SIGNING_KEY"] = "key-0123456789"

# An application has one ingress; here each path has its own.
class EveryIngress
  def initialize(app) = @app = app

  def call(env)
    ActionMailbox.ingress = env["PATH_INFO"][%r{\A/rails/action_mailbox/(\w+)/}, 1]&.to_sym
    @app.call(env)
  end
end

class Application < Rails::Application
  config.root = Dir.mktmpdir
  config.load_defaults 6.1
  config.eager_load = false
  config.hosts.clear
  config.secret_key_base = "x"
  config.logger = Logger.new($stderr)
  config.log_level = :warn
  config.active_job.queue_adapter = :inline
  config.action_mailbox.incinerate = false
  config.active_storage.service = :local
  config.active_storage.service_configurations = { local: { service: "Disk", root: Dir.mktmpdir } }
  config.middleware.insert 0, EveryIngress
end
Application.initialize!

ActiveRecord::Migration.verbose = false
%w[activestorage actionmailbox].each do |gem|
  Dir[File.join(Gem.loaded_specs[gem]&.gem_dir || Gem::Specification.find_by_name(gem).gem_dir, "db/migrate/*_tables.rb")].sort.each do |file|
    require file
  end
end
CreateActiveStorageTables.new.migrate(:up)
CreateActionMailboxTables.new.migrate(:up)

class ApplicationMailbox < ActionMailbox::Base
  routing all: :every
end

class EveryMailbox < ApplicationMailbox
  def process
    text = mail.multipart? ? mail.text_part : mail
    utf8 = ->(s) { s&.dup&.force_encoding("UTF-8")&.scrub }
    puts JSON.generate(
      from: utf8[mail.from&.first], recipients: mail.recipients.map(&utf8), subject: utf8[mail.subject], text: utf8[text&.decoded],
      attachments: mail.attachments.map { |a| { name: utf8[a.filename], type: a.mime_type, sha256: Digest::SHA256.hexdigest(a.body.decoded) } }
    )
    $stdout.flush
  end
end

server = WEBrick::HTTPServer.new(BindAddress: "127.0.0.1", Port: 0, Logger: WEBrick::Log.new($stderr, WEBrick::Log::WARN), AccessLog: [])
server.mount "/", Rack::Handler::WEBrick, Rails.application
puts server.listeners.first.addr[1]
$stdout.flush
trap("TERM") { server.shutdown }
server.start
